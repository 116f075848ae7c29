-- The departments of a user who is new or back. The waiting memberships are deleted.
-- $1 user id
-- works_in: the main department first
WITH taken AS (
    DELETE FROM t_im_scim_waiting WHERE user_id = $1 RETURNING department_id
),
all_of_them AS (
    SELECT t.department_id
    FROM taken t
    CROSS JOIN LATERAL (SELECT removed_at FROM t_im_department WHERE department_id = t.department_id OFFSET 0) AS d
    WHERE d.removed_at IS NULL
    UNION
    SELECT department_id FROM t_im_user WHERE user_id = $1 AND department_id IS NOT NULL
)
SELECT ARRAY(
    SELECT a.department_id FROM all_of_them a
    ORDER BY a.department_id IS DISTINCT FROM (SELECT department_id FROM t_im_user WHERE user_id = $1), a.department_id
) AS works_in
