-- One secret and its endpoint.
-- $1 secret id
SELECT s.callback_id, s.sealed
FROM t_im_callback_secret s
JOIN t_im_callback c ON c.callback_id = s.callback_id AND c.url IS NOT NULL AND c.removed_at IS NULL
WHERE s.secret_id = $1
