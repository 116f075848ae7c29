-- Grants a department to a user once, if both exist.
-- $1 department id, $2 user id, $3 who grants it, $4 now
WITH known AS (
    SELECT (SELECT department_id FROM t_im_department WHERE department_id = $1 AND removed_at IS NULL) AS department_id,
           (SELECT user_id FROM t_im_user WHERE user_id = $2) AS user_id
),
granted AS (
    INSERT INTO t_im_department_grant (user_id, department_id, granted_by, granted_at)
    SELECT user_id, department_id, $3, $4 FROM known WHERE user_id IS NOT NULL AND department_id IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT department_id IS NOT NULL AS has_department, user_id IS NOT NULL AS has_user FROM known
