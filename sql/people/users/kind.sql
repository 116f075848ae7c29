-- The kind of an active user.
-- $1 user id
SELECT kind FROM t_im_user WHERE user_id = $1 AND active
