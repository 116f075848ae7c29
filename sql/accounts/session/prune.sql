-- Deletes sessions that have expired.
-- $1 now, $2 most rows
DELETE FROM t_im_session
WHERE session_id IN (SELECT session_id FROM t_im_session WHERE expires_at <= $1::timestamptz
                     ORDER BY expires_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)
