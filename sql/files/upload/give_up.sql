-- Gives a file that is kept without a message a time to expire, so that it can be removed.
-- $1 file id, $2 owner, $3 now
UPDATE t_im_file f
SET expires_at = $3
WHERE f.file_id = $1 AND f.owner = $2 AND f.expires_at IS NULL
  AND NOT EXISTS (SELECT FROM t_im_file_use u WHERE u.file_id = f.file_id OFFSET 0)
