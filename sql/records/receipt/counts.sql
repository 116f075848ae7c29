-- Counts the receivers of hot messages by status, from the ledger and from ranges and receipts that are not in it yet.
-- Only messages whose receipts the caller may see: as a member who can see the message, or by role.
-- $1 ms_ids, $2 caller, $3 whether the caller's role allows every message
SELECT m.ms_id, m.channel_id, m.seq, counted.unreceived, counted.received, counted.read
FROM (SELECT DISTINCT ms_id FROM unnest($1::bigint[]) AS given (ms_id)) AS given
CROSS JOIN LATERAL (
    SELECT ms_id, channel_id, seq FROM t_im_message
    WHERE ms_id = given.ms_id AND ms_id >= (SELECT ms_id FROM t_im_horizon)
    OFFSET 0
) AS m
CROSS JOIN LATERAL (
    WITH ledger AS MATERIALIZED (
        SELECT l.*::t_im_ledger AS l, block FROM t_im_ledger l WHERE ms_id = m.ms_id
    ),
    late AS (
        SELECT s.slot, max(waiting.status) AS status
        FROM (SELECT user_id, status FROM t_im_read
              WHERE channel_id = m.channel_id AND from_seq <= m.seq AND to_seq >= m.seq
              UNION ALL
              SELECT receiver, status FROM t_im_receipt_pending WHERE ms_id = m.ms_id) AS waiting
        JOIN t_im_channel_slot s ON s.channel_id = m.channel_id AND s.user_id = waiting.user_id
        GROUP BY s.slot
    ),
    raised AS (
        SELECT im_ledger_status(ledger.l, late.slot & 1023) AS before, late.status AS now
        FROM late JOIN ledger ON ledger.block = late.slot >> 10
        WHERE im_bit((ledger.l).receivers, late.slot & 1023) = 1
          AND late.status > im_ledger_status(ledger.l, late.slot & 1023)
    ),
    held AS (
        SELECT coalesce(sum(bit_count((l).receivers)), 0)::bigint AS receivers,
               coalesce(sum(bit_count((l).read)), 0)::bigint AS read,
               coalesce(sum(bit_count((l).received)), 0)::bigint AS received
        FROM ledger
    ),
    late_count AS (
        SELECT count(*) FILTER (WHERE before = 0) AS from_unreceived, count(*) FILTER (WHERE before = 1) AS from_received,
               count(*) FILTER (WHERE now = 1) AS to_received, count(*) FILTER (WHERE now = 2) AS to_read
        FROM raised
    )
    SELECT receivers - received - read - from_unreceived AS unreceived,
           received - from_received + to_received AS received,
           read + to_read AS read
    FROM held, late_count
) AS counted
WHERE $3 OR EXISTS (
    SELECT FROM v_im_visible v
    WHERE v.channel_id = m.channel_id AND v.user_id = $2
      AND v.sees_from_seq <= m.seq AND (v.to_seq IS NULL OR v.to_seq >= m.seq))
