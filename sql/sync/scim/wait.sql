-- Stores memberships of users who cannot work in the department now.
-- $1 department id, $2 user ids
INSERT INTO t_im_scim_waiting (department_id, user_id)
SELECT $1, user_id FROM unnest($2::text[]) AS w (user_id) ORDER BY user_id
ON CONFLICT DO NOTHING
