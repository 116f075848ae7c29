-- Replaces the roles of an account.
-- $1 user id, $2 roles
UPDATE t_im_account SET roles = $2::text[] WHERE user_id = $1
