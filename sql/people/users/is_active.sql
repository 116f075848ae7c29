-- Whether a user exists and has not left.
-- $1 user id
SELECT EXISTS (SELECT FROM t_im_user WHERE user_id = $1 AND active)
