-- A hot message to recall. Locks its channel against sends and other recalls.
-- $1 ms_id
SELECT m.channel_id, m.seq, m.sender, m.server_time, (m.extra #>> '{reply_to,ms_id}')::bigint AS replied,
       m.extra ->> 'topic' AS topic, m.ms_type, m.content
FROM (SELECT channel_id, seq, sender, server_time, extra, ms_type, content FROM t_im_message
      WHERE ms_id = $1 AND $1 >= (SELECT ms_id FROM t_im_horizon)
      OFFSET 0) AS m
CROSS JOIN LATERAL (SELECT FROM t_im_channel WHERE channel_id = m.channel_id FOR NO KEY UPDATE OFFSET 0) AS c
