-- People as the directory tells them; what it does not tell stays. Returns the positions of
-- records whose department is unknown; those are not applied.
-- $1 user ids, $2 names, $3 head icons, $4 active, $5 kinds, $6 department ids, $7 now
WITH given AS MATERIALIZED (
    SELECT i.user_id, i.name, i.ord, i.department,
           d.department_id IS NULL AND i.department IS NOT NULL AS misplaced,
           coalesce(i.head_icon, u.head_icon) AS head_icon,
           coalesce(i.active, u.active, true) AS active,
           coalesce(i.kind, u.kind, 'internal') AS kind,
           coalesce(i.department, u.department_id) AS department_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[])
         WITH ORDINALITY AS i (user_id, name, head_icon, active, kind, department, ord)
    LEFT JOIN t_im_department d ON d.department_id = i.department
    LEFT JOIN t_im_user u ON u.user_id = i.user_id
),
applied AS (
    INSERT INTO t_im_user (user_id, name, head_icon, active, kind, department_id, updated_at)
    SELECT user_id, name, head_icon, active, kind, department_id, $7
    FROM given WHERE NOT misplaced ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET name = EXCLUDED.name, head_icon = EXCLUDED.head_icon, active = EXCLUDED.active,
        kind = EXCLUDED.kind, department_id = EXCLUDED.department_id, updated_at = EXCLUDED.updated_at
)
SELECT ord - 1 AS position FROM given WHERE misplaced ORDER BY ord
