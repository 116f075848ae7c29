-- What roles other than the owner of the tables use: docs/roles.sql creates them.

-- The service makes partitions as the owner, also where its own role may create nothing. The path is fixed, so that no
-- other schema can put tables or functions before those of the service.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION im_make_partitions(date, boolean) SECURITY DEFINER SET search_path = %I, pg_temp',
                   current_schema());
END $$;
REVOKE EXECUTE ON FUNCTION im_make_partitions(date, boolean) FROM PUBLIC;

-- Drops a partition of a day that is cold, for a role that does not own it. It needs the lock of the parent for a
-- moment: a function cannot detach concurrently. Any other table is refused, and each day of the last week, whatever the
-- horizon says.
CREATE FUNCTION im_drop_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    is_cold boolean := false;
BEGIN
    IF $1 ~ '^t_im_(message|ledger)_p[0-9]{8}$' AND to_date(right($1, 8), 'YYYYMMDD') < im_clock() - interval '7 days' THEN
        SELECT p.below_ms_id <= h.ms_id INTO is_cold FROM v_im_partition p CROSS JOIN t_im_horizon h WHERE p.partition = $1;
        IF NOT FOUND THEN
            -- It was detached before, so it has no bounds any more.
            EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I m WHERE m.ms_id >= h.ms_id) FROM t_im_horizon h', $1)
            INTO is_cold;
        END IF;
    END IF;
    IF is_cold IS NOT TRUE THEN
        RAISE EXCEPTION '% is not in the archive', $1 USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('DROP TABLE %I', $1);
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION im_drop_partition(text) SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;
REVOKE EXECUTE ON FUNCTION im_drop_partition(text) FROM PUBLIC;

-- Views for reports. They have no contents of messages, and no names, addresses or phone numbers of users and
-- channels: ids are enough to join them with other systems. t_im_message_push has the statuses.
CREATE VIEW v_im_bi_message AS
SELECT m.ms_id, m.channel_id, m.seq, m.server_time, m.sender, m.ms_type, m.urgent,
       EXISTS (SELECT FROM t_im_recall r WHERE r.ms_id = m.ms_id) AS is_recalled
FROM t_im_message m;
CREATE VIEW v_im_bi_channel AS
SELECT channel_id, channel_type, creator, owner, create_time, dissolved_at, member_count, last_seq AS message_count
FROM t_im_channel;
-- One row for each time that a user was a member. to_seq is null while the user is one.
CREATE VIEW v_im_bi_member AS
SELECT channel_id, user_id, role, joined_at, from_seq, to_seq, read_seq
FROM t_im_channel_user;
CREATE VIEW v_im_bi_user AS
SELECT user_id, kind, active, department_id, created_at, deleted_at
FROM t_im_user;
CREATE VIEW v_im_bi_department AS
SELECT department_id, parent_id, name, removed_at
FROM t_im_department;
