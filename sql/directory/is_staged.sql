-- Whether a run's staging is there; a crash of the server takes it away.
-- $1 run id
SELECT EXISTS (SELECT FROM t_im_stage WHERE run_id = $1)
