-- Whether a user is an application, and has not left. No row: the directory does not know the user.
-- $1 user id
SELECT kind = 'application' AS is_application, active FROM t_im_user WHERE user_id = $1
