-- A department, after its parent.
-- $1 department id, $2 name, $3 parent id
INSERT INTO t_im_department (department_id, name, parent_id)
VALUES ($1, $2, $3)
ON CONFLICT (department_id) DO UPDATE SET name = EXCLUDED.name, parent_id = EXCLUDED.parent_id
