-- Counts a message's receivers by status, from the ledger and from reads and receipts that are not in it yet.
-- $1 ms_id, $2 channel id, $3 seq
WITH ledger AS MATERIALIZED (
    SELECT l.*::t_im_ledger AS l, block FROM t_im_ledger l WHERE ms_id = $1
),
late AS (
    SELECT s.slot, max(waiting.status) AS status
    FROM (SELECT user_id, 2::smallint AS status FROM t_im_read WHERE channel_id = $2 AND from_seq <= $3 AND to_seq >= $3
          UNION ALL
          SELECT receiver, status FROM t_im_receipt_pending WHERE ms_id = $1) AS waiting
    JOIN t_im_channel_slot s ON s.channel_id = $2 AND s.user_id = waiting.user_id
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
