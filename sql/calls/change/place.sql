-- Gives a user another place in a call.
-- $1 call id, $2 user id, $3 state, $4 now
INSERT INTO t_im_call_user AS u (call_id, user_id, state, joined_at)
VALUES ($1, $2, $3, CASE WHEN $3 = 'joined' THEN $4::timestamptz END)
ON CONFLICT (call_id, user_id) DO UPDATE
SET state = excluded.state, joined_at = coalesce(u.joined_at, excluded.joined_at)
