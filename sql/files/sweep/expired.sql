-- Files whose time is over, and whether a message holds them or held them. A request that writes keeps its upload.
-- $1 now, $2 limit
SELECT f.file_id, f.used, EXISTS (SELECT FROM t_im_file_use u WHERE u.file_id = f.file_id OFFSET 0) AS held
FROM t_im_file f
WHERE f.expires_at <= $1 AND (f.locked_until > $1) IS NOT TRUE
ORDER BY f.expires_at
LIMIT $2
