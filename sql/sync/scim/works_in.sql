-- The departments of active users that SCIM shows, the main department first.
-- $1 user ids
SELECT u.user_id,
       ARRAY(SELECT d.department_id FROM t_im_department_user d WHERE d.user_id = u.user_id
             ORDER BY d.department_id IS DISTINCT FROM u.department_id, d.department_id) AS works_in
FROM unnest($1::text[]) AS w (user_id)
JOIN t_im_user u ON u.user_id = w.user_id AND u.source IN ('scim', 'api') AND u.deleted_at IS NULL
WHERE u.active
