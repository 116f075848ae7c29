-- Whether a run's staging exists. A crash of the server empties it.
-- $1 run id
SELECT EXISTS (SELECT FROM t_im_stage WHERE run_id = $1)
