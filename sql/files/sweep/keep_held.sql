-- Lets files stay for good.
-- $1 file ids, $2 now
UPDATE t_im_file SET expires_at = NULL WHERE file_id = ANY ($1::bigint[]) AND expires_at <= $2
