-- Restarts a run whose staging is lost. Applying a record twice changes nothing.
-- $1 run id
UPDATE t_im_directory_run SET state = 'asked', staged = 0, applied = 0 WHERE run_id = $1 AND ended_at IS NULL
