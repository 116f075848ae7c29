-- People as the directory tells them; what it does not tell stays. Returns the positions of
-- records whose department is unknown; those are not applied. Whoever wants to be told of people is.
-- $1 user ids, $2 names, $3 head icons, $4 active, $5 kinds, $6 department ids, $7 now
WITH given AS MATERIALIZED (
    SELECT i.user_id, i.name, i.ord, i.department,
           d.department_id IS NULL AND i.department IS NOT NULL AS misplaced,
           coalesce(i.head_icon, u.head_icon) AS head_icon,
           coalesce(i.active, u.active, true) AS active,
           coalesce(i.kind, u.kind, 'internal') AS kind,
           coalesce(i.department, u.department_id) AS department_id,
           u.user_id IS NULL AS is_new, u.active AS was_active,
           u.user_id IS NOT NULL AND (u.name, u.head_icon, u.active, u.kind, u.department_id)
               IS NOT DISTINCT FROM (i.name, coalesce(i.head_icon, u.head_icon), coalesce(i.active, u.active),
                                     coalesce(i.kind, u.kind), coalesce(i.department, u.department_id)) AS is_same
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
),
changed AS (
    SELECT CASE WHEN is_new THEN 'user.created' WHEN was_active AND NOT active THEN 'user.deactivated' ELSE 'user.updated' END
               AS type, given.*
    FROM given WHERE NOT misplaced AND NOT is_same
),
told AS (
    INSERT INTO t_im_event_new (type, actor, data, at)
    SELECT type, user_id,
           jsonb_build_object('user_id', user_id, 'name', name, 'active', active, 'kind', kind, 'department_id', department_id), $7
    FROM changed
    WHERE im_event_wanted(type)
    ORDER BY user_id
)
SELECT ord - 1 AS position FROM given WHERE misplaced ORDER BY ord
