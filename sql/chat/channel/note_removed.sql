-- Notes that a user was removed from a group. An earlier statement locks the channel.
-- $1 channel id, $2 user id
INSERT INTO t_im_removed (channel_id, user_id) VALUES ($1, $2) ON CONFLICT (channel_id, user_id) DO NOTHING
