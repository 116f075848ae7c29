-- Ends a run as failed.
-- $1 run id, $2 why, $3 now
UPDATE t_im_directory_run SET state = 'failed', detail = $2, ended_at = $3::timestamptz
WHERE run_id = $1 AND ended_at IS NULL
