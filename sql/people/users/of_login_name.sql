-- The active users with a login name. More than one counts as none.
-- $1 login name, folded
SELECT user_id FROM t_im_user WHERE login_name_folded = $1 AND active AND login_name_folded IS NOT NULL LIMIT 2
