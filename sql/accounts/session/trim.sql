-- Ends the oldest sessions of a user beyond a number.
-- $1 user id, $2 most sessions
DELETE FROM t_im_session
WHERE session_id IN (SELECT session_id FROM t_im_session WHERE user_id = $1
                     ORDER BY created_at DESC, session_id OFFSET $2::bigint)
