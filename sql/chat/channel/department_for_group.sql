-- The department of a new group, and the revision of the directory before its users are read.
-- $1 department id
SELECT d.name, h.revision
FROM t_im_department d CROSS JOIN t_im_directory_head h
WHERE d.department_id = $1 AND d.removed_at IS NULL
