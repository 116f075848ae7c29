-- Locks an upload whose bytes are all stored, for the checks at its end.
-- $1 file id, $2 epoch of the request that holds the lock, or null, $3 now, $4 locked until
-- No row: the upload is locked, not whole, ready or gone.
UPDATE t_im_file
SET epoch = epoch + 1, locked_until = $4, checks = checks + 1
WHERE file_id = $1 AND state = 'uploading' AND stored = size
  AND (epoch = $2 OR (locked_until BETWEEN $3 AND $4::timestamptz + interval '1 minute') IS NOT TRUE)
RETURNING file_id, owner, epoch, name, size, hashed, hash_state, wanted_sha256
