-- Moves departments in the tree, and emits the events of changed departments.
-- $1 department ids that move, $2 the parent of each, or null
-- $3 department ids with an event, parents first, $4 the change of each: created, updated or removed, $5 now
WITH moved AS (
    UPDATE t_im_department d SET parent_id = m.parent_id, updated_at = $5::timestamptz, version = version + 1
    FROM unnest($1::text[], $2::text[]) AS m (department_id, parent_id)
    WHERE d.department_id = m.department_id
    RETURNING d.department_id, d.parent_id
),
told AS (
    INSERT INTO t_im_event_new (type, data, at)
    SELECT w.type, jsonb_build_object('department_id', d.department_id, 'name', d.name,
                                      'parent_id', CASE WHEN m.department_id IS NULL THEN d.parent_id ELSE m.parent_id END), $5
    FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS c (department_id, action, ord)
    JOIN (SELECT action, 'department.' || action AS type FROM unnest(ARRAY['created', 'updated', 'removed']) AS action
          WHERE im_event_wanted('department.' || action) OFFSET 0) AS w ON w.action = c.action
    JOIN t_im_department d ON d.department_id = c.department_id
    LEFT JOIN moved m ON m.department_id = c.department_id
    ORDER BY c.ord
)
UPDATE t_im_directory_head SET revision = revision + 1 WHERE EXISTS (SELECT FROM moved)
