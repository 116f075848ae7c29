-- Deletes tokens that expired before a time. There is no index for this, because tokens are few.
-- $1 time, $2 most rows
DELETE FROM t_im_token
WHERE token_hash IN (
    SELECT token_hash
    FROM t_im_token
    WHERE expires_at < $1::timestamptz
    ORDER BY expires_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
)
