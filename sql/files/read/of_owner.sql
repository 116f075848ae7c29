-- A page of a user's files, newest first.
-- $1 user id, $2 below this file id, $3 limit
SELECT f.file_id, f.owner, f.name, f.size, f.stored, f.state, f.media_type, f.sha256, f.width, f.height, f.created_at,
       f.expires_at, im_file_forms(f.file_id) AS forms
FROM t_im_file f
WHERE f.owner = $1 AND f.file_id < $2
ORDER BY f.file_id DESC
LIMIT $3
