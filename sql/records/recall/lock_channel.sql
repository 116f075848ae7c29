-- Locks the channel of a cold message against other recalls.
-- $1 channel id
SELECT channel_id FROM t_im_channel WHERE channel_id = $1 FOR NO KEY UPDATE
