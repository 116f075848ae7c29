-- Locks an application against other calls that create a notification of it.
-- $1 application
SELECT user_id FROM t_im_user WHERE user_id = $1 FOR NO KEY UPDATE
