-- A hot message that somebody takes back, its channel locked against sends and other recalls.
-- $1 ms_id
SELECT m.channel_id, m.seq, m.sender, m.server_time
FROM t_im_message m
JOIN t_im_channel c USING (channel_id)
WHERE m.ms_id = $1 AND m.ms_id >= (SELECT ms_id FROM t_im_horizon)
FOR NO KEY UPDATE OF c
