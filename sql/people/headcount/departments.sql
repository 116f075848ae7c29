-- The tree of departments, for the headcount.
SELECT department_id, parent_id FROM t_im_department WHERE removed_at IS NULL
