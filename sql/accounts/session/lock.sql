-- Locks a session that can be refreshed: it has not expired, its account is not suspended, and its user has not left.
-- $1 session id, $2 now
SELECT s.user_id, s.chain_key, s.refresh_hash, s.previous_hash, s.generation, s.seen_generation, s.rotated_at
FROM t_im_session s
JOIN t_im_account a ON a.user_id = s.user_id
JOIN t_im_user u ON u.user_id = s.user_id
WHERE s.session_id = $1 AND s.expires_at > $2::timestamptz AND coalesce(a.suspended_until <= $2, true) AND u.active
FOR UPDATE OF s
