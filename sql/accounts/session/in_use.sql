-- The number of sessions of a user that were seen of late. One whose tokens were never used does not count: the answer of
-- the sign-in was lost, or has not arrived yet.
-- $1 user id, $2 seen after this, $3 now
SELECT count(*) AS sessions
FROM t_im_session
WHERE user_id = $1 AND last_seen_at > $2::timestamptz AND expires_at > $3::timestamptz AND seen_generation >= 0
