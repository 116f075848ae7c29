-- Sets a password with a one-time code, which is used up. Of two at once, the second finds no code.
-- $1 user id, $2 SHA-256 of the code, $3 hash of the password, $4 now
UPDATE t_im_account
SET password_hash = $3::text, password_changed_at = $4::timestamptz, reset_hash = NULL, reset_expires_at = NULL
WHERE user_id = $1 AND reset_hash = $2::bytea AND reset_expires_at > $4
