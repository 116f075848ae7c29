-- Stores the departments of a user before deactivation, so that the user gets them back later.
-- $1 user id
INSERT INTO t_im_scim_waiting (department_id, user_id)
SELECT department_id, user_id FROM t_im_department_user WHERE user_id = $1
ORDER BY department_id
ON CONFLICT DO NOTHING
