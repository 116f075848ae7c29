-- Objects to remove from the store.
-- $1 now, $2 limit
SELECT object_id FROM t_im_file_object WHERE drop_after <= $1 ORDER BY drop_after LIMIT $2
