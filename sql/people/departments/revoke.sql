-- Revokes a grant.
-- $1 department id, $2 user id
DELETE FROM t_im_department_grant WHERE department_id = $1 AND user_id = $2
