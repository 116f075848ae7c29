-- Takes an unfinished upload back to its beginning, for a request that sends all of it again.
-- $1 file id, $2 owner, $3 now, $4 latest end of any lock
-- No row: it is locked, ready or gone.
WITH mine AS (
    UPDATE t_im_file
    SET stored = 0, hashed = 0, hash_state = NULL, epoch = epoch + 1, locked_until = NULL
    WHERE file_id = $1 AND owner = $2 AND state = 'uploading' AND expires_at > $3
      AND (locked_until BETWEEN $3 AND $4::timestamptz + interval '1 minute') IS NOT TRUE
    RETURNING file_id
),
dropped AS (
    UPDATE t_im_file_object o SET drop_after = $3 FROM mine WHERE o.file_id = mine.file_id AND o.drop_after IS NULL
)
SELECT file_id FROM mine
