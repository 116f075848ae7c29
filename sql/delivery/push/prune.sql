-- Deletes old attempts and dead letters, a limited number at a time.
-- $1 older than, $2 most of each
WITH old_attempt AS (
    DELETE FROM t_im_push_attempt
    WHERE attempt_id IN (SELECT attempt_id FROM t_im_push_attempt WHERE attempted_at < $1
                         ORDER BY attempted_at LIMIT $2)
    RETURNING 1
),
old_dead AS (
    DELETE FROM t_im_push_dead
    WHERE dead_id IN (SELECT dead_id FROM t_im_push_dead WHERE dead_at < $1 ORDER BY dead_id LIMIT $2)
    RETURNING 1
)
SELECT (SELECT count(*) FROM old_attempt) + (SELECT count(*) FROM old_dead) AS pruned
