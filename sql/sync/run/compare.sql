-- Counts what a step of staged records would change. Records that would change nothing are deleted.
-- $1 run id, $2 after this row, $3 up to this row
WITH users AS MATERIALIZED (
    SELECT row_no, action, is_newer FROM v_im_stage_user WHERE run_id = $1 AND row_no > $2 AND row_no <= $3
),
departments AS MATERIALIZED (
    SELECT row_no, action FROM v_im_stage_department WHERE run_id = $1 AND row_no > $2 AND row_no <= $3
),
same_users AS (
    DELETE FROM t_im_stage_user
    WHERE run_id = $1 AND row_no > $2 AND row_no <= $3
      -- IS TRUE makes the plan hash the numbers.
      AND (row_no IN (SELECT row_no FROM users WHERE action = 'same' AND NOT is_newer)) IS TRUE
),
same_departments AS (
    DELETE FROM t_im_stage_department
    WHERE run_id = $1 AND row_no > $2 AND row_no <= $3
      AND (row_no IN (SELECT row_no FROM departments WHERE action = 'same')) IS TRUE
)
SELECT coalesce((SELECT jsonb_object_agg(action, n) FROM (SELECT action, count(*) AS n FROM users GROUP BY action) AS c), '{}') AS users,
       coalesce((SELECT jsonb_object_agg(action, n) FROM (SELECT action, count(*) AS n FROM departments GROUP BY action) AS c), '{}')
           AS departments
