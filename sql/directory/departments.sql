-- Every department that is not removed, with the parent it was told and the one it hangs on.
SELECT department_id, told_parent_id, parent_id FROM t_im_department WHERE removed_at IS NULL
