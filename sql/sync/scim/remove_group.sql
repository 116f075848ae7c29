-- Removes a group, with its members.
-- $1 group id
DELETE FROM t_im_scim_group WHERE group_id = $1
