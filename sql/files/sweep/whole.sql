-- Uploads whose bytes are all stored, and that no request works on. Those that were checked least often come first.
-- $1 now, $2 latest end of any lock, $3 limit
SELECT file_id FROM t_im_file
WHERE state = 'uploading' AND stored = size AND (locked_until BETWEEN $1 AND $2::timestamptz + interval '1 minute') IS NOT TRUE
ORDER BY checks, file_id
LIMIT $3
