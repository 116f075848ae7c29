-- The link of a secret, unless it has expired or its observer is removed.
-- $1 SHA-256 of the secret
SELECT encode(substring(l.link_hash FOR 8), 'hex') AS link_id, l.callback_id, l.expires_at
FROM t_im_endpoint_link l
CROSS JOIN LATERAL (SELECT kind, removed_at FROM t_im_callback WHERE callback_id = l.callback_id OFFSET 0) AS c
WHERE l.link_hash = $1::bytea AND l.expires_at > im_clock() AND c.kind = 'observer' AND c.removed_at IS NULL
