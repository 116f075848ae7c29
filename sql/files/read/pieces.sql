-- The objects of a file in one form, in order.
-- $1 file id, $2 form
SELECT object_id, from_byte, bytes, media_type
FROM t_im_file_object
WHERE file_id = $1 AND form = $2 AND drop_after IS NULL AND bytes > 0
ORDER BY from_byte
