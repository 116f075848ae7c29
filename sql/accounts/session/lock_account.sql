-- Locks an account that may sign in, and says when its password was changed. No row: it may not.
-- $1 user id, $2 now
SELECT a.password_changed_at
FROM t_im_account a
WHERE a.user_id = $1 AND coalesce(a.suspended_until <= $2::timestamptz, true)
FOR UPDATE
