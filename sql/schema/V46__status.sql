-- What users say of themselves for a while, such as "on holiday". Apart from t_im_user, which the directory writes.
-- There is no foreign key: users are never deleted.
CREATE TABLE t_im_user_status (
    user_id    text COLLATE "C" PRIMARY KEY,
    text       text NOT NULL,
    emoji      text,
    -- From then on it is not shown any more; null: until the user changes it.
    until      timestamptz,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 70);

-- Signals to the replicas that the presence or the status of users may have changed. Nothing is stored. A signal has at
-- most 8,000 bytes, so many users are signalled in parts. Returns the number of parts; 0 while no user can listen.
CREATE FUNCTION im_signal_users(user_ids text[]) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    part jsonb;
    parts bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM t_im_event_head WHERE streams_until > im_clock()) THEN
        RETURN 0;
    END IF;
    FOR part IN
        SELECT jsonb_agg(user_id)
        FROM (SELECT user_id, sum(octet_length(to_jsonb(user_id)::text) + 2) OVER (ORDER BY user_id) / 4000 AS place
              FROM (SELECT DISTINCT unnest(user_ids) AS user_id) AS given) AS placed
        GROUP BY place
    LOOP
        PERFORM pg_notify('im_live', jsonb_build_object('users', part)::text);
        parts := parts + 1;
    END LOOP;
    RETURN parts;
END $$;
