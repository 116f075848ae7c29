-- Stores a one-time code of an account, only as its hash.
-- $1 user id, $2 SHA-256 of the code, $3 expiry
UPDATE t_im_account SET reset_hash = $2::bytea, reset_expires_at = $3::timestamptz WHERE user_id = $1
