-- Lets files stay for good that a message holds or, on request, has held. An earlier statement has locked the files.
-- $1 file ids, $2 now, $3 whether files stay that no message holds any more
UPDATE t_im_file f SET expires_at = NULL
WHERE f.file_id = ANY ($1::bigint[]) AND f.expires_at <= $2
  AND ($3::boolean AND f.used OR EXISTS (SELECT FROM t_im_file_use u WHERE u.file_id = f.file_id OFFSET 0))
