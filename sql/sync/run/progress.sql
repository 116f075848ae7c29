-- Records that a step is applied, in the same transaction.
-- $1 run id, $2 up to this row
UPDATE t_im_directory_run SET applied = $2::bigint WHERE run_id = $1
