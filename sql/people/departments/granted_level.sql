-- The top of the tree as an external user sees it: the granted departments, except those below another
-- granted one. Departments above them stay hidden.
-- $1 the external user, $2/$3/$4 after this place, name and id, $5 limit
SELECT d.department_id, d.name, NULL::text AS parent_id, d.sort_order, coalesce(c.people, 0) AS people_count,
       EXISTS (SELECT FROM t_im_department b WHERE coalesce(b.parent_id, '') = d.department_id AND b.removed_at IS NULL) AS has_children
FROM t_im_department_grant g
-- OFFSET 0 makes each department a key lookup. A join could read all departments.
CROSS JOIN LATERAL (SELECT * FROM t_im_department WHERE department_id = g.department_id OFFSET 0) AS d
LEFT JOIN LATERAL (SELECT people FROM t_im_department_count WHERE department_id = g.department_id OFFSET 0) AS c ON true
WHERE g.user_id = $1 AND d.removed_at IS NULL AND NOT im_granted($1, ARRAY[d.parent_id])
  AND (d.sort_order, d.name COLLATE "C", d.department_id) > ($2, $3, $4)
ORDER BY d.sort_order, d.name COLLATE "C", d.department_id
LIMIT $5
