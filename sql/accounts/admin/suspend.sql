-- Suspends an account.
-- $1 user id, $2 until, $3 reason
UPDATE t_im_account SET suspended_until = $2::timestamptz, suspended_reason = $3::text WHERE user_id = $1
