-- Stores a bearer token, only as its hash.
-- $1 SHA-256 of the token, $2 name, $3 user id, $4 roles, $5 now, $6 expiry
INSERT INTO t_im_token (token_hash, name, user_id, roles, created_at, expires_at)
VALUES ($1::bytea, $2::text, $3::text, $4::text[], $5::timestamptz, $6::timestamptz)
