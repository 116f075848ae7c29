-- Who has a login name, of those who have not left; more than one is as good as none.
-- $1 login name
SELECT user_id FROM t_im_user WHERE lower(login_name) = lower($1) AND active AND login_name IS NOT NULL LIMIT 2
