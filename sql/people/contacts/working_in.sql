-- The users of a department and those below, unless they are too many. A user may come twice.
-- $1 department id, $2 most users
WITH RECURSIVE place (department_id) AS (
    SELECT department_id FROM t_im_department WHERE department_id = $1 AND removed_at IS NULL
    UNION
    -- OFFSET 0 makes the departments below one a key lookup.
    SELECT d.department_id
    FROM place p
    CROSS JOIN LATERAL (SELECT department_id, removed_at FROM t_im_department WHERE parent_id = p.department_id OFFSET 0) AS d
    WHERE d.removed_at IS NULL
)
SELECT w.user_id
FROM place p
CROSS JOIN LATERAL (SELECT user_id FROM t_im_department_user w WHERE w.department_id = p.department_id OFFSET 0) AS w
LIMIT $2
