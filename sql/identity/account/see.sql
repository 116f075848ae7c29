-- Notes that a session is in use, and its user. Of several requests at once, one writes.
-- $1 session id, $2 the generation of the access token, $3 now, $4 what was noted before this is old
WITH seen AS (
    UPDATE t_im_session
    SET seen_generation = greatest(seen_generation, $2::integer), last_seen_at = greatest(last_seen_at, $3::timestamptz)
    WHERE session_id = $1 AND (seen_generation < $2 OR last_seen_at <= $4::timestamptz)
    RETURNING user_id
)
UPDATE t_im_account
SET last_seen_at = $3
WHERE user_id = (SELECT user_id FROM seen) AND coalesce(last_seen_at <= $4, true)
