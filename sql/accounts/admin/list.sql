-- A page of accounts by username.
-- $1 after this username, folded; $2 and this user id; $3 most rows
SELECT user_id, username, username_folded, roles, password_hash IS NOT NULL AS has_password, created_at, last_seen_at,
       suspended_until, suspended_reason
FROM t_im_account
WHERE (username_folded, user_id) > ($1::text, $2::text)
ORDER BY username_folded, user_id
LIMIT $3::bigint
