-- Locks an endpoint for a change, and counts the secrets that sign for it.
-- $1 callback id, $2 now
SELECT c.*, (SELECT count(*) FROM t_im_callback_secret s
             WHERE s.callback_id = c.callback_id AND (s.expires_at IS NULL OR s.expires_at > $2)) AS signing
FROM t_im_callback c
WHERE c.callback_id = $1 AND c.url IS NOT NULL AND c.removed_at IS NULL
FOR UPDATE OF c
