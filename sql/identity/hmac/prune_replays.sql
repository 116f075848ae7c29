-- Deletes expired signatures, oldest first.
-- $1 now, $2 most rows
DELETE FROM t_im_replay
WHERE signature IN (
    SELECT signature
    FROM t_im_replay
    WHERE expires_at < $1::timestamptz
    ORDER BY expires_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
)
