-- The account of a user.
-- $1 user id
SELECT user_id, username, roles, password_hash IS NOT NULL AS has_password, created_at, last_seen_at, suspended_until,
       suspended_reason
FROM t_im_account
WHERE user_id = $1
