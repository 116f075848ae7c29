-- Resolves the names in an edit: the manager's external id, and the department ids that do not exist.
-- $1 source, $2 user id of the manager, $3 department ids
SELECT (SELECT external_id FROM t_im_user WHERE user_id = $2 AND source = $1) AS manager,
       (SELECT min(at) FROM unnest($3::text[]) WITH ORDINALITY AS named (department_id, at)
        WHERE NOT EXISTS (SELECT FROM (SELECT removed_at FROM t_im_department WHERE department_id = named.department_id
                                            OFFSET 0) AS d
                          WHERE d.removed_at IS NULL)) AS unknown_at
