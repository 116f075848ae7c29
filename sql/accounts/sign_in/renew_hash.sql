-- Replaces the hash of a password that has not changed.
-- $1 user id, $2 the old hash, $3 the new hash
UPDATE t_im_account SET password_hash = $3::text WHERE user_id = $1 AND password_hash = $2
