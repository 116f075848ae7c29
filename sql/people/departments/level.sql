-- One level of the department tree, in display order.
-- $1 the department above, or '' for the top, $2/$3/$4 after this place, name and id, $5 limit
SELECT d.department_id, d.name, d.parent_id, d.sort_order, coalesce(c.people, 0) AS people_count,
       EXISTS (SELECT FROM t_im_department b WHERE coalesce(b.parent_id, '') = d.department_id AND b.removed_at IS NULL) AS has_children
FROM t_im_department d
LEFT JOIN t_im_department_count c ON c.department_id = d.department_id
WHERE d.removed_at IS NULL AND coalesce(d.parent_id, '') = $1
  AND (d.sort_order, d.name COLLATE "C", d.department_id) > ($2, $3, $4)
ORDER BY d.sort_order, d.name COLLATE "C", d.department_id
LIMIT $5
