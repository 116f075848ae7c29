-- Locks an upload for a request that writes from this offset on, and plans its first object. A lock that is further in
-- the future than any lock can be is of a clock that stepped back, and does not count. (A minute is longer than a
-- request takes from reading the clock to its statement.)
-- $1 file id, $2 owner, $3 offset, $4 now, $5 locked until, $6 object id, $7 until when the object is planned
-- No row: the upload does not exist, is expired, is whole, is at another offset, or is locked.
WITH taken AS (
    UPDATE t_im_file
    SET epoch = epoch + 1, locked_until = $5
    WHERE file_id = $1 AND owner = $2 AND stored = $3 AND stored < size AND state = 'uploading' AND expires_at > $4
      AND (locked_until BETWEEN $4 AND $5::timestamptz + interval '1 minute') IS NOT TRUE
    RETURNING file_id, epoch, size, hashed, hash_state, expires_at
),
planned AS (
    INSERT INTO t_im_file_object (object_id, file_id, drop_after) SELECT $6, file_id, $7 FROM taken
)
SELECT taken.epoch, taken.size, taken.hashed, taken.hash_state, taken.expires_at, tail.object_id AS tail_id
FROM taken
LEFT JOIN LATERAL (
    SELECT object_id FROM t_im_file_object
    WHERE file_id = taken.file_id AND form = 'original' AND from_byte = taken.hashed AND bytes > 0 AND drop_after IS NULL
    LIMIT 1
) AS tail ON true
