-- Unlinks a dissolved group from its department.
-- $1 channel id
DELETE FROM t_im_department_group WHERE channel_id = $1
