-- A department, after its parent. Whoever wants to be told of departments is.
-- $1 department id, $2 name, $3 parent id
WITH was AS (
    SELECT name, parent_id FROM t_im_department WHERE department_id = $1
),
applied AS (
    INSERT INTO t_im_department (department_id, name, parent_id)
    VALUES ($1, $2, $3)
    ON CONFLICT (department_id) DO UPDATE SET name = EXCLUDED.name, parent_id = EXCLUDED.parent_id
)
SELECT im_tell(CASE WHEN EXISTS (SELECT FROM was) THEN 'department.updated' ELSE 'department.created' END, NULL, NULL,
               jsonb_build_object('department_id', $1::text, 'name', $2::text, 'parent_id', $3::text), NULL, im_clock())
WHERE NOT EXISTS (SELECT FROM was WHERE (name, parent_id) IS NOT DISTINCT FROM ($2::text, $3::text))
