-- Of what kind somebody is whom the directory knows as one who has not left.
-- $1 user id
SELECT kind FROM t_im_user WHERE user_id = $1 AND active
