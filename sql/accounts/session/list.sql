-- The sessions of a user, the newest first. account_sessions_max bounds them.
-- $1 user id, $2 now
SELECT session_id, device, address, created_at, last_seen_at, expires_at
FROM t_im_session
WHERE user_id = $1 AND expires_at > $2::timestamptz
ORDER BY created_at DESC, session_id
