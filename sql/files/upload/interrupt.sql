-- Takes the lock from a request that writes to an unfinished upload: its client has come back, so the request is dead.
-- $1 file id, $2 owner, $3 now
-- No row: the upload is whole, expired or unknown.
UPDATE t_im_file
SET epoch = epoch + 1, locked_until = NULL
WHERE file_id = $1 AND owner = $2 AND state = 'uploading' AND stored < size AND expires_at > $3
RETURNING stored, size, metadata, expires_at
