-- Locks files that may be removed. The lock waits for sends that hold them, and later sends wait for it. The next
-- statement of the transaction sees what was sent.
-- $1 file ids
SELECT FROM t_im_file WHERE file_id = ANY ($1::bigint[]) ORDER BY file_id FOR UPDATE
