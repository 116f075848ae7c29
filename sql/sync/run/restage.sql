-- Empties a run's staging and begins it again.
-- $1 run id
WITH users AS (DELETE FROM t_im_stage_user WHERE run_id = $1),
departments AS (DELETE FROM t_im_stage_department WHERE run_id = $1),
problems AS (DELETE FROM t_im_directory_problem WHERE run_id = $1),
there AS (INSERT INTO t_im_stage (run_id) VALUES ($1) ON CONFLICT DO NOTHING)
UPDATE t_im_directory_run
SET begun = true, begun_at_call = nextval('im_directory_call'), state = 'asked', staged = 0, applied = 0, problems = 0,
    counts = '{}', token = NULL
WHERE run_id = $1
