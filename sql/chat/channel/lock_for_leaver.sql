-- Locks a channel against sends, joins and leaves, for a caller who need not be a member.
-- $1 channel id
SELECT FROM t_im_channel WHERE channel_id = $1 FOR NO KEY UPDATE
