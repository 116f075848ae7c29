-- Locks the channel of a hot message against sends, recalls and other updates.
-- $1 ms_id
SELECT
FROM (SELECT channel_id FROM t_im_message
      WHERE ms_id = $1 AND $1 >= (SELECT ms_id FROM t_im_horizon)
      OFFSET 0) AS m
CROSS JOIN LATERAL (SELECT FROM t_im_channel WHERE channel_id = m.channel_id FOR NO KEY UPDATE OFFSET 0) AS c
