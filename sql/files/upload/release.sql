-- Ends the lock of a request that writes, if it still has it, and drops objects that no file took.
-- $1 file id, $2 epoch, $3 object ids, $4 now
WITH released AS (
    UPDATE t_im_file SET locked_until = NULL WHERE file_id = $1 AND epoch = $2
)
UPDATE t_im_file_object SET drop_after = $4 WHERE object_id = ANY ($3::uuid[]) AND drop_after > $4
