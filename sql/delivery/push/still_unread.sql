-- The receivers of urgent items of a batch who still have not read. Recalled messages have none.
-- $1 batch id
SELECT q.ordinality AS item, array_agg(receiver.user_id) AS user_ids
FROM t_im_push_batch b
CROSS JOIN LATERAL unnest(b.items) WITH ORDINALITY AS q
CROSS JOIN LATERAL unnest(q.receivers) AS receiver (user_id)
WHERE b.batch_id = $1 AND q.urgent
  AND im_is_unread(q.channel_id, receiver.user_id, q.from_seq)
  AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = q.from_ms_id OFFSET 0)
GROUP BY q.ordinality
