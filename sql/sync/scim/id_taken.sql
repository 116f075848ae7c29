-- Whether a user, department or group has or had this id.
-- $1 users, departments or groups, $2 id
SELECT CASE $1::text
       WHEN 'users' THEN EXISTS (SELECT FROM t_im_user WHERE user_id = $2)
                      OR EXISTS (SELECT FROM t_im_user WHERE source = 'scim' AND external_id = $2)
       WHEN 'departments' THEN EXISTS (SELECT FROM t_im_department WHERE department_id = $2)
       ELSE EXISTS (SELECT FROM t_im_scim_group WHERE group_id = $2) END
