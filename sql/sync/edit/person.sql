-- A user before an edit: the source, the editable attributes, and the number of pending edits.
-- $1 user id
SELECT u.user_id, u.source, u.external_id, u.source_version, u.version,
       jsonb_build_object('name', u.name, 'head_icon', u.head_icon, 'active', u.active, 'login_name', u.login_name,
                          'employee_number', u.employee_number, 'title', u.title, 'email', u.email, 'phone', u.phone,
                          'manager', u.manager,
                          'department_ids', array_remove(ARRAY[u.department_id], NULL)
                              || ARRAY(SELECT d.department_id FROM t_im_department_user d
                                       WHERE d.user_id = u.user_id AND d.department_id IS DISTINCT FROM u.department_id
                                       ORDER BY d.department_id)) AS attributes,
       (SELECT count(*) FILTER (WHERE e.ended_at IS NULL) FROM t_im_directory_edit e WHERE e.user_id = u.user_id) AS pending
FROM t_im_user u
WHERE u.user_id = $1
