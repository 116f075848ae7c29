-- A hot message to nudge, whether it is sealed or recalled, whether its channel is dissolved, and whether its receiver blocks
-- the sender.
-- $1 ms_id
SELECT m.channel_id, m.seq, m.sender, $1 < h.sealed_ms_id AS is_sealed, r.ms_id IS NOT NULL AS is_recalled,
       c.dissolved_at IS NOT NULL AS is_dissolved,
       c.channel_type = 'direct' AND EXISTS (
               SELECT FROM t_im_channel_user u
               WHERE u.channel_id = m.channel_id AND u.user_id = m.sender AND u.to_seq IS NULL AND u.talk = 'blocked') AS is_blocked
FROM t_im_horizon h
CROSS JOIN LATERAL (SELECT ms_id, channel_id, seq, sender FROM t_im_message WHERE ms_id = $1 AND $1 >= h.ms_id OFFSET 0) AS m
CROSS JOIN LATERAL (SELECT dissolved_at, channel_type FROM t_im_channel WHERE channel_id = m.channel_id OFFSET 0) AS c
LEFT JOIN LATERAL (SELECT ms_id FROM t_im_recall WHERE ms_id = $1 OFFSET 0) AS r ON true
