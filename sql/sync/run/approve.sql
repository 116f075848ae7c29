-- Approves a held run.
-- $1 run id, $2 administrator
UPDATE t_im_directory_run SET state = 'applying', approved_by = $2 WHERE run_id = $1 AND state = 'held'
