-- Ends a session of a user.
-- $1 user id, $2 session id
DELETE FROM t_im_session WHERE session_id = $2 AND user_id = $1
