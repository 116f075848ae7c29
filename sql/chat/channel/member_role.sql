-- The role of a member, and whether it is a robot of the channel.
-- $1 channel id, $2 user id
SELECT role, EXISTS (SELECT FROM t_im_robot r WHERE r.user_id = $2) AS is_robot
FROM t_im_channel_user
WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
