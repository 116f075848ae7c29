-- Locks a channel against sends, joins and leaves.
-- $1 channel id
SELECT FROM t_im_channel WHERE channel_id = $1 FOR NO KEY UPDATE
