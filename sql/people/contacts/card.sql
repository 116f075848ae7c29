-- A user's card with departments, the main one first, and manager.
-- $1 user id, $2 the external user who looks, or null, $3 the user who looks, or null: a robot is seen by the members of its
-- group
WITH place AS MATERIALIZED (
    SELECT d.department_id, d.name, d.department_id = u.department_id AS main
    FROM t_im_department_user w
    JOIN t_im_user u ON u.user_id = w.user_id
    JOIN t_im_department d ON d.department_id = w.department_id AND d.removed_at IS NULL
    WHERE w.user_id = $1 AND ($2::text IS NULL OR im_granted($2, ARRAY[d.department_id]))
)
SELECT u.user_id, u.name, u.head_icon, u.kind, u.active, u.title, u.email, u.phone, u.employee_number, u.login_name,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('department_id', department_id, 'name', name, 'main', coalesce(main, false))
                                  ORDER BY main DESC NULLS LAST, name, department_id), '[]') FROM place) AS departments,
       manager.user_id AS manager_id, manager.name AS manager_name,
       s.text AS status_text, s.emoji AS status_emoji, s.until AS status_until
FROM t_im_user u
LEFT JOIN t_im_user manager
       ON manager.source = u.source AND manager.external_id = u.manager AND manager.active
      AND ($2::text IS NULL OR im_sees($2, manager.user_id))
LEFT JOIN LATERAL (
    SELECT text, emoji, until FROM t_im_user_status
    WHERE user_id = u.user_id AND (until IS NULL OR until > im_clock())
    OFFSET 0
) AS s ON u.active
WHERE u.user_id = $1 AND ($2::text IS NULL OR im_sees($2, u.user_id)) AND im_sees_application($3, u.user_id)
