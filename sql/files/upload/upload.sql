-- An upload of a user, finished or not.
-- $1 file id, $2 owner
SELECT state, size, stored, metadata, expires_at, locked_until FROM t_im_file WHERE file_id = $1 AND owner = $2
