-- Replaces the password that was just checked. A one-time code ends with it.
-- $1 user id, $2 hash of the old password, $3 of the new one, $4 now
UPDATE t_im_account
SET password_hash = $3::text, password_changed_at = $4::timestamptz, reset_hash = NULL, reset_expires_at = NULL
WHERE user_id = $1 AND password_hash IS NOT DISTINCT FROM $2::text
