-- The user with a username.
-- $1 username, folded
SELECT user_id FROM t_im_account WHERE username_folded = $1
