-- Removes waiting memberships of a department.
-- $1 department id, $2 user ids
DELETE FROM t_im_scim_waiting WHERE department_id = $1 AND user_id = ANY ($2::text[])
