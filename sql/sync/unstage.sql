-- Deletes what was staged under an id.
-- $1 run id
WITH departments AS (
    DELETE FROM t_im_stage_department WHERE run_id = $1
)
DELETE FROM t_im_stage_user WHERE run_id = $1
