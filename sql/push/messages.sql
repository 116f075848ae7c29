-- The messages of a batch, each channel's in order.
-- $1 batch id
SELECT DISTINCT ON (m.channel_id, m.seq)
       m.ms_id, m.channel_id, c.channel_type, m.seq, m.sender, m.server_time, m.ms_type,
       CASE WHEN r.ms_id IS NULL THEN m.content ELSE '{}' END AS content, r.ms_id IS NOT NULL AS recalled
FROM t_im_push_queue q
CROSS JOIN LATERAL (
    SELECT * FROM t_im_message
    WHERE channel_id = q.channel_id AND seq BETWEEN q.from_seq AND q.to_seq
      AND ms_id BETWEEN q.from_ms_id AND q.to_ms_id
    OFFSET 0
) AS m
CROSS JOIN LATERAL (SELECT channel_type FROM t_im_channel WHERE channel_id = q.channel_id OFFSET 0) AS c
LEFT JOIN LATERAL (SELECT ms_id FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0) AS r ON true
WHERE q.batch_id = $1
ORDER BY m.channel_id, m.seq
