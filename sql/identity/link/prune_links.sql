-- Deletes links that expired before a time.
-- $1 time, $2 most rows
DELETE FROM t_im_endpoint_link
WHERE link_hash IN (
    SELECT link_hash
    FROM t_im_endpoint_link
    WHERE expires_at < $1::timestamptz
    ORDER BY expires_at
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
)
