-- Sets the role of a member.
-- $1 channel id, $2 user id, $3 role
UPDATE t_im_channel_user SET role = $3 WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
