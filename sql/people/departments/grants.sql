-- One page of the users a department is granted to, by id.
-- $1 department id, $2 after this user, $3 limit
SELECT g.user_id, u.name, g.granted_by, g.granted_at
FROM t_im_department_grant g
JOIN t_im_user u ON u.user_id = g.user_id
WHERE g.department_id = $1 AND g.user_id > $2
ORDER BY g.user_id
LIMIT $3
