-- Lifts the suspension of an account.
-- $1 user id
UPDATE t_im_account SET suspended_until = NULL, suspended_reason = NULL WHERE user_id = $1
