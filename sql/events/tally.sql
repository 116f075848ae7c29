-- Combines the receipts or reads of a message within a window into one event. It takes all waiting rows of
-- the message once the first has waited long enough. A row more than a minute in the future dates from before
-- the clock stepped back.
-- $1 rows up to this time, $2 most rows, $3 most readers named, $4 now
WITH taken AS (
    DELETE FROM t_im_event_tally
    WHERE tally_id = ANY (ARRAY(
        -- Without a join: a plan made while there were few rows would compare each row with each other.
        SELECT tally_id
        FROM (SELECT tally_id, bool_or(is_due AND place <= $2::integer) OVER (PARTITION BY type, channel_id, seq) AS goes
              FROM (SELECT tally_id, type, channel_id, seq, at <= $1 OR at > $4::timestamptz + interval '1 minute' AS is_due,
                           row_number() OVER (ORDER BY tally_id) AS place
                    FROM t_im_event_tally ORDER BY tally_id LIMIT $2::integer * 4) AS oldest) AS judged
        WHERE goes))
    RETURNING type, channel_id, seq, ms_id, who, people, at
)
INSERT INTO t_im_event_new (type, channel_id, from_seq, from_ms_id, data, at)
SELECT type, channel_id, seq, ms_id,
       jsonb_build_object('ms_id', ms_id::text, 'channel_id', channel_id::text, 'seq', seq, 'people', sum(people))
       || CASE type WHEN 'message.read'
               THEN jsonb_build_object('readers', (array_agg(who ORDER BY who))[1:$3::integer]) ELSE '{}' END,
       max(at)
FROM taken
GROUP BY type, channel_id, seq, ms_id
ORDER BY min(at)
