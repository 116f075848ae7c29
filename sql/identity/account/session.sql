-- A session that can be used: it has not ended or expired, its account is not suspended, and its user has not left.
-- $1 session id, $2 user id, $3 now
SELECT a.roles, s.generation, s.seen_generation, s.last_seen_at
FROM t_im_session s
JOIN t_im_account a ON a.user_id = s.user_id
JOIN t_im_user u ON u.user_id = s.user_id
WHERE s.session_id = $1 AND s.user_id = $2 AND s.expires_at > $3::timestamptz
  AND coalesce(a.suspended_until <= $3, true) AND u.active
