-- Extends the lock of a request that writes and the plans of its objects, and plans one more object.
-- $1 file id, $2 epoch, $3 planned object ids, $4 next object id, $5 locked until, $6 until when objects are planned
-- No row: another request has taken over, or the upload is gone.
WITH mine AS (
    UPDATE t_im_file SET locked_until = $5 WHERE file_id = $1 AND epoch = $2 AND state = 'uploading' RETURNING file_id
),
extended AS (
    UPDATE t_im_file_object o SET drop_after = $6 FROM mine WHERE o.object_id = ANY ($3::uuid[])
),
planned AS (
    INSERT INTO t_im_file_object (object_id, file_id, drop_after)
    SELECT $4, file_id, $6 FROM mine
    ON CONFLICT (object_id) DO UPDATE SET drop_after = EXCLUDED.drop_after
)
SELECT file_id FROM mine
