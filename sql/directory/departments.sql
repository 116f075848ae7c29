-- Every department and its parent, to judge what is told against.
SELECT department_id, parent_id FROM t_im_department
