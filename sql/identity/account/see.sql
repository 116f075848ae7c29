-- Notes that a session is in use, and its user. Of several requests at once, one writes. The account is locked before the
-- session, as a sign-in, a suspension and a new password lock them.
-- $1 session id, $2 the generation of the access token, $3 now, $4 what was noted before this is old, $5 user id
WITH account AS MATERIALIZED (
    SELECT user_id FROM t_im_account WHERE user_id = $5::text FOR NO KEY UPDATE
),
seen AS (
    UPDATE t_im_session s
    SET seen_generation = greatest(s.seen_generation, $2::integer), last_seen_at = greatest(s.last_seen_at, $3::timestamptz)
    FROM account a
    WHERE s.session_id = $1 AND s.user_id = a.user_id AND (s.seen_generation < $2 OR s.last_seen_at <= $4::timestamptz)
    RETURNING s.user_id
)
UPDATE t_im_account
SET last_seen_at = $3
WHERE user_id = (SELECT user_id FROM seen) AND coalesce(last_seen_at <= $4, true)
