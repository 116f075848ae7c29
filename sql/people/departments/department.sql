-- A department with its ancestors, from the top down, as far as the viewer may see them.
-- $1 department id, $2 the external user who looks, or null
WITH RECURSIVE up (department_id, parent_id, name, height) AS (
    SELECT d.department_id, d.parent_id, d.name, 0 FROM t_im_department d
    WHERE d.department_id = $1 AND d.removed_at IS NULL
    UNION ALL
    SELECT d.department_id, d.parent_id, d.name, up.height + 1
    FROM up JOIN t_im_department d ON d.department_id = up.parent_id
),
above AS MATERIALIZED (
    SELECT * FROM up WHERE height > 0 AND ($2::text IS NULL OR im_granted($2, ARRAY[department_id]))
)
SELECT d.department_id, d.name, (SELECT department_id FROM above WHERE height = 1) AS parent_id, d.sort_order,
       coalesce(c.people, 0) AS people_count,
       EXISTS (SELECT FROM t_im_department b WHERE coalesce(b.parent_id, '') = d.department_id AND b.removed_at IS NULL) AS has_children,
       ARRAY(SELECT department_id FROM above ORDER BY height DESC) AS path_ids,
       ARRAY(SELECT name FROM above ORDER BY height DESC) AS path_names
FROM t_im_department d
LEFT JOIN t_im_department_count c ON c.department_id = $1
WHERE d.department_id = $1 AND d.removed_at IS NULL AND ($2::text IS NULL OR im_granted($2, ARRAY[d.department_id]))
