-- The item of the gateway that holds a message for a receiver and is not pushed yet: the one that goes first.
-- The two parts of the queue have an index each.
-- $1 ms_id, $2 channel id, $3 receiver, $4 the least ms_id of a commit that can hold the message
WITH place AS MATERIALIZED (
    SELECT slot FROM t_im_channel_slot WHERE channel_id = $2 AND user_id = $3
),
item AS (
    SELECT NULL::uuid AS batch_id, 0 AS attempts, q.queued_at, CASE WHEN NOT q.in_turn THEN q.due_at END AS due_at,
           q.retries, q.held, q.from_slot, q.to_slot, q.receivers
    FROM (SELECT * FROM t_im_push_queue WHERE callback_id = 'gateway' AND channel_id = $2 AND in_turn
          UNION ALL
          SELECT * FROM t_im_push_queue WHERE callback_id = 'gateway' AND channel_id = $2 AND NOT in_turn) AS q
    WHERE q.from_ms_id <= $1 AND q.to_ms_id >= $1
    UNION ALL
    SELECT NULL, 0, c.queued_at, NULL, item.retries, c.held, item.from_slot, item.to_slot, item.receivers
    FROM t_im_push_commit c
    CROSS JOIN LATERAL unnest(c.items) AS item
    WHERE c.from_ms_id BETWEEN $4 AND $1
      AND item.channel_id = $2 AND item.from_ms_id <= $1 AND item.to_ms_id >= $1
    UNION ALL
    SELECT b.batch_id, b.attempts, b.queued_at, b.due_at, item.retries, item.held, item.from_slot, item.to_slot,
           item.receivers
    FROM t_im_push_batch b
    CROSS JOIN LATERAL unnest(b.items) AS item
    WHERE b.callback_id = 'gateway' AND b.from_ms_id <= $1
      AND item.channel_id = $2 AND item.from_ms_id <= $1 AND item.to_ms_id >= $1
)
SELECT item.batch_id, item.attempts, item.queued_at, item.due_at, coalesce(item.retries, 0) AS retries,
       coalesce(item.held, false) AS held
FROM item
CROSS JOIN place
WHERE (item.receivers IS NULL OR $3 = ANY (item.receivers))
  AND place.slot BETWEEN coalesce(item.from_slot, 0) AND coalesce(item.to_slot, 2147483647)
ORDER BY item.batch_id IS NULL, item.queued_at
LIMIT 1
