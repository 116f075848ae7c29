-- The user and roles of a bearer token, unless it has expired.
-- $1 SHA-256 of the token, $2 now
SELECT user_id, roles, expires_at
FROM t_im_token
WHERE token_hash = $1::bytea AND expires_at > $2::timestamptz
