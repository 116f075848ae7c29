-- The messages of a batch, each channel's in order.
-- $1 batch id
SELECT DISTINCT ON (m.channel_id, m.seq)
       m.ms_id, m.channel_id, c.channel_type, m.seq, m.sender, m.server_time, m.ms_type, m.content
FROM t_im_push_queue q
JOIN t_im_message m
  ON m.channel_id = q.channel_id AND m.seq BETWEEN q.from_seq AND q.to_seq
 AND m.ms_id BETWEEN q.from_ms_id AND q.to_ms_id
JOIN t_im_channel c ON c.channel_id = m.channel_id
WHERE q.batch_id = $1
ORDER BY m.channel_id, m.seq
