-- Deletes an account with its sessions.
-- $1 user id
DELETE FROM t_im_account WHERE user_id = $1
