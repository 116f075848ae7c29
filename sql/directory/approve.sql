-- An admin's word that a run which is held may go on.
-- $1 run id, $2 admin
UPDATE t_im_directory_run SET state = 'applying', approved_by = $2 WHERE run_id = $1 AND state = 'held'
