-- All departments that are not removed, with the parent from the source and the parent in the tree.
SELECT department_id, source_parent_id, parent_id FROM t_im_department WHERE removed_at IS NULL
