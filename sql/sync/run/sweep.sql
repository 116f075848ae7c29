-- Deletes a part of the staging of ended runs, except the newest, whose changes an administrator may read.
-- $1 the run that begins, $2 most rows
WITH old AS MATERIALIZED (
    SELECT s.run_id FROM t_im_stage s JOIN t_im_directory_run r USING (run_id)
    WHERE s.run_id < $1 AND r.ended_at IS NOT NULL
),
users AS (
    DELETE FROM t_im_stage_user s
    WHERE s.ctid = ANY (ARRAY(SELECT u.ctid FROM t_im_stage_user u WHERE u.run_id = ANY (ARRAY(SELECT run_id FROM old)) LIMIT $2::bigint))
    RETURNING run_id
),
departments AS (
    DELETE FROM t_im_stage_department s
    WHERE s.ctid = ANY (ARRAY(SELECT d.ctid FROM t_im_stage_department d WHERE d.run_id = ANY (ARRAY(SELECT run_id FROM old)) LIMIT $2))
    RETURNING run_id
),
gone AS (
    DELETE FROM t_im_stage s
    WHERE s.run_id = ANY (ARRAY(SELECT run_id FROM old)) AND (SELECT count(*) FROM users) + (SELECT count(*) FROM departments) = 0
)
SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM departments) AS rows
