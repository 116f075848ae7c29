-- The receivers of urgent items of a batch who still have not read. Recalled messages have none.
-- $1 batch id
SELECT q.ordinality AS item, array_agg(receiver.user_id) AS user_ids
FROM t_im_push_batch b
CROSS JOIN LATERAL unnest(b.items) WITH ORDINALITY AS q
CROSS JOIN LATERAL unnest(q.receivers) AS receiver (user_id)
WHERE b.batch_id = $1 AND q.urgent
  AND EXISTS (SELECT FROM t_im_channel_user
              WHERE channel_id = q.channel_id AND user_id = receiver.user_id AND to_seq IS NULL
                AND from_seq <= q.from_seq AND read_seq < q.from_seq OFFSET 0)
  AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = q.from_ms_id OFFSET 0)
GROUP BY q.ordinality
