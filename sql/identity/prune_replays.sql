-- Forgets signatures that are too old to be believed anyway, oldest first.
-- $1 now, $2 most rows of one run
DELETE FROM t_im_replay
WHERE signature IN (
    SELECT signature
    FROM t_im_replay
    WHERE expires_at < $1::timestamptz
    ORDER BY expires_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
)
