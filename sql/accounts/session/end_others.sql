-- Ends all sessions of a user but one.
-- $1 user id, $2 the session that stays, or null
DELETE FROM t_im_session WHERE user_id = $1 AND session_id IS DISTINCT FROM $2::bytea
