-- The last seq of a channel, for a role that may read all of it.
-- $1 channel id
SELECT last_seq FROM t_im_channel WHERE channel_id = $1
