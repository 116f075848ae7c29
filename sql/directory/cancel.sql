-- Ends a run that is held, or has not begun to be applied.
-- $1 run id, $2 by whom, $3 now
UPDATE t_im_directory_run
SET state = 'failed', detail = 'cancelled by ' || $2::text, ended_at = $3::timestamptz
WHERE run_id = $1 AND state IN ('asked', 'staged', 'held')
