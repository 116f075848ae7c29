-- The account that a one-time code is for.
-- $1 username, folded; $2 SHA-256 of the code; $3 now
SELECT user_id, username
FROM t_im_account
WHERE username_folded = $1 AND reset_hash = $2::bytea AND reset_expires_at > $3::timestamptz
