-- The kind of a user, and whether the user has not left. No row: the directory does not know the user.
-- $1 user id
SELECT kind, active FROM t_im_user WHERE user_id = $1
