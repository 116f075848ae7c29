-- One secret and its endpoint.
-- $1 secret id
SELECT s.callback_id, s.sealed
FROM t_im_callback_secret s
CROSS JOIN LATERAL (SELECT url, removed_at FROM t_im_callback WHERE callback_id = s.callback_id OFFSET 0) AS c
WHERE s.secret_id = $1 AND c.url IS NOT NULL AND c.removed_at IS NULL
