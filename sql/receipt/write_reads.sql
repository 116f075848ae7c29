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
    SELECT l.ms_id, l.receiver, span.read_at
    FROM span
    JOIN t_im_message m
      ON m.channel_id = span.channel_id
     AND m.seq BETWEEN span.from_seq AND least(span.to_seq, span.from_seq + $2::integer - 1)
     AND m.ms_id > span.from_ms_id AND m.ms_id <= span.to_ms_id
    JOIN t_im_message_push l ON l.ms_id = m.ms_id AND l.receiver = span.user_id
    ORDER BY l.ms_id, l.receiver
    FOR UPDATE OF l
),
written AS (
    UPDATE t_im_message_push l
    SET status = 2, verdict = NULL, verdict_reason = NULL, last_modified_time = target.read_at
    FROM target
    WHERE l.ms_id = target.ms_id AND l.receiver = target.receiver AND l.status < 2
),
shortened AS (
    UPDATE t_im_read r SET from_seq = r.from_seq + $2::integer
    FROM span
    WHERE r.channel_id = span.channel_id AND r.user_id = span.user_id AND r.to_seq = span.to_seq
      AND span.to_seq - span.from_seq >= $2::integer
),
done AS (
    DELETE FROM t_im_read r
    USING span
    WHERE r.channel_id = span.channel_id AND r.user_id = span.user_id AND r.to_seq = span.to_seq
      AND span.to_seq - span.from_seq < $2::integer
)
SELECT count(*) AS spans FROM span
