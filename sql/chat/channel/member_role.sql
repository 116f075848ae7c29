-- The role of a member.
-- $1 channel id, $2 user id
SELECT role FROM t_im_channel_user WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
