-- The texts of a group that a search reads. An earlier statement locks the channel.
-- $1 channel id
SELECT channel_name, description FROM t_im_channel WHERE channel_id = $1
