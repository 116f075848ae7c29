-- Creates an upload without any bytes. The files of the owner are locked.
-- $1 owner, $2 name, $3 size, $4 metadata or null, $5 expected SHA-256 or null, $6 now, $7 expires at
INSERT INTO t_im_file (owner, name, size, metadata, wanted_sha256, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING file_id
