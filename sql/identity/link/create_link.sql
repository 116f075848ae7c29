-- Stores a link of an observer that is there, only as its hash. The lock keeps others from making one at the same time.
-- $1 SHA-256 of the secret, $2 callback id, $3 name, $4 creator, $5 now, $6 expiry
INSERT INTO t_im_endpoint_link (link_hash, callback_id, name, created_by, created_at, expires_at)
SELECT $1::bytea, c.callback_id, $3::text, $4::text, $5::timestamptz, $6::timestamptz
FROM t_im_callback c
WHERE c.callback_id = $2 AND c.kind = 'observer' AND c.removed_at IS NULL
FOR NO KEY UPDATE
