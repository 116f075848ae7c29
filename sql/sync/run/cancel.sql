-- Cancels a run that is held or not yet applied.
-- $1 run id, $2 by which user, $3 now
UPDATE t_im_directory_run
SET state = 'failed', detail = 'cancelled by ' || $2::text, ended_at = $3::timestamptz
WHERE run_id = $1 AND state IN ('asked', 'staged', 'held')
