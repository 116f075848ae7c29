-- Records how many rows a run has staged.
-- $1 run id, $2 rows
UPDATE t_im_directory_run SET staged = $2::bigint WHERE run_id = $1
