-- A group that is dissolved follows no department.
-- $1 channel id
DELETE FROM t_im_department_group WHERE channel_id = $1
