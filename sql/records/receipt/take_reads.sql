-- Takes ranges of reads and receipts, some messages of each at a time. The same transaction writes them into the ledger. Sealed ranges
-- wait for the archive. The caller shares the seal lock.
-- $1 most ranges, $2 most messages of one range
-- Returns one row per message, or one row without a message for an empty range.
WITH span AS MATERIALIZED (
    SELECT r.channel_id, r.user_id, r.from_seq, r.to_seq, r.from_ms_id, r.to_ms_id, r.read_at, r.status
    FROM t_im_read r
    WHERE r.from_ms_id >= (SELECT sealed_ms_id - 1 FROM t_im_horizon)
    ORDER BY r.channel_id, r.user_id, r.to_seq, r.status
    LIMIT $1::integer
    FOR UPDATE OF r SKIP LOCKED
),
shortened AS (
    UPDATE t_im_read r SET from_seq = r.from_seq + $2::integer
    FROM span
    WHERE r.channel_id = span.channel_id AND r.user_id = span.user_id AND r.to_seq = span.to_seq
      AND r.status = span.status
      AND span.to_seq - span.from_seq >= $2::integer
),
done AS (
    DELETE FROM t_im_read r
    USING span
    WHERE r.channel_id = span.channel_id AND r.user_id = span.user_id AND r.to_seq = span.to_seq
      AND r.status = span.status
      AND span.to_seq - span.from_seq < $2::integer
)
SELECT m.ms_id, s.slot, span.read_at, span.status
FROM span
CROSS JOIN LATERAL (SELECT slot FROM t_im_channel_slot WHERE channel_id = span.channel_id AND user_id = span.user_id OFFSET 0) AS s
LEFT JOIN LATERAL (
    SELECT ms_id FROM t_im_message
    WHERE channel_id = span.channel_id
      AND seq BETWEEN span.from_seq AND least(span.to_seq, span.from_seq + $2::integer - 1)
      AND ms_id > span.from_ms_id AND ms_id <= span.to_ms_id
    ORDER BY seq
    LIMIT $2::integer
) AS m ON true
