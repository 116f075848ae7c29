-- The number of robots of a group.
-- $1 channel id
SELECT count(*) FROM t_im_robot WHERE channel_id = $1
