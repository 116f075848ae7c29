-- Locks files that may stay. The lock waits for recalls that release them: the next statement of the transaction sees
-- what they left.
-- $1 file ids
SELECT FROM t_im_file WHERE file_id = ANY ($1::bigint[]) ORDER BY file_id FOR NO KEY UPDATE
