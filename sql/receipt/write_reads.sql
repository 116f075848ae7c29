-- The background pass: reads kept as ranges become ledger statuses, some messages of each
-- range at a time, once every ledger row of the range is written. Sealed ranges wait for the
-- archive. The caller shares the seal lock.
-- $1 most ranges, $2 most messages of one range
WITH span AS MATERIALIZED (
    SELECT r.channel_id, r.user_id, r.from_seq, r.to_seq, r.from_ms_id, r.to_ms_id, r.read_at
    FROM t_im_read r
    WHERE NOT EXISTS (SELECT FROM t_im_fanout f WHERE f.channel_id = r.channel_id AND f.seq <= r.to_seq)
      AND r.from_ms_id >= (SELECT sealed_ms_id - 1 FROM t_im_horizon)
    ORDER BY r.channel_id, r.user_id, r.to_seq
    LIMIT $1::integer
    FOR UPDATE OF r SKIP LOCKED
),
target AS MATERIALIZED (
    -- Ledger rows are locked one by one in order of the key, as every writer of several locks them.
    SELECT due.ms_id, due.user_id, due.read_at
    FROM (
        SELECT m.ms_id, span.user_id, span.read_at
        FROM span
        CROSS JOIN LATERAL (
            SELECT ms_id FROM t_im_message
            WHERE channel_id = span.channel_id
              AND seq BETWEEN span.from_seq AND least(span.to_seq, span.from_seq + $2::integer - 1)
              AND ms_id > span.from_ms_id AND ms_id <= span.to_ms_id
            ORDER BY seq
            LIMIT $2::integer) AS m
        ORDER BY m.ms_id, span.user_id
    ) AS due
    CROSS JOIN LATERAL (
        SELECT FROM t_im_message_push WHERE ms_id = due.ms_id AND receiver = due.user_id
        FOR UPDATE OFFSET 0) AS l
),
written AS (
    UPDATE t_im_message_push l
    SET status = 2, verdict = NULL, verdict_reason = NULL, last_modified_time = target.read_at
    FROM target
    -- ANY: as in receive.sql.
    WHERE l.ms_id = ANY (ARRAY[target.ms_id]) AND l.receiver = ANY (ARRAY[target.user_id]) AND l.status < 2
),
shortened AS (
    UPDATE t_im_read r SET from_seq = r.from_seq + $2::integer
    FROM span
    WHERE r.channel_id = ANY (ARRAY[span.channel_id]) AND r.user_id = ANY (ARRAY[span.user_id])
      AND r.to_seq = ANY (ARRAY[span.to_seq])
      AND span.to_seq - span.from_seq >= $2::integer
),
done AS (
    DELETE FROM t_im_read r
    USING span
    WHERE r.channel_id = ANY (ARRAY[span.channel_id]) AND r.user_id = ANY (ARRAY[span.user_id])
      AND r.to_seq = ANY (ARRAY[span.to_seq])
      AND span.to_seq - span.from_seq < $2::integer
)
SELECT count(*) AS spans FROM span
