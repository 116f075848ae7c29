-- Records that the staging of a run is complete.
-- $1 run id, $2 rows, $3 token, $4 a remark, or null
UPDATE t_im_directory_run SET state = 'staged', staged = $2::bigint, token = $3, detail = coalesce($4, detail) WHERE run_id = $1
