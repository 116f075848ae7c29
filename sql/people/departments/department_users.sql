-- One page of a department's users by id, on request with those of departments below. With few departments,
-- each is asked for its next users. With many, a scan of all users finds a page soon.
-- $1 department id, $2 whether with departments below, $3 after this user, $4 limit, $5 most departments that
-- are few
WITH RECURSIVE place (department_id) AS (
    SELECT $1::text COLLATE "C"
    UNION
-- OFFSET 0 makes the departments below one a key lookup.
    SELECT d.department_id
    FROM place p
    CROSS JOIN LATERAL (SELECT department_id, removed_at FROM t_im_department WHERE parent_id = p.department_id OFFSET 0) AS d
    WHERE $2::boolean AND d.removed_at IS NULL
),
size AS MATERIALIZED (
    SELECT count(*) <= $5::bigint AS are_few FROM place
),
page AS MATERIALIZED (
    SELECT DISTINCT user_id FROM (
        SELECT w.user_id
        FROM place p
        CROSS JOIN LATERAL (
            SELECT w.user_id FROM t_im_department_user w
            CROSS JOIN LATERAL (SELECT active, kind FROM t_im_user WHERE user_id = w.user_id OFFSET 0) AS u
            WHERE u.active AND u.kind <> 'application' AND w.department_id = p.department_id AND w.user_id > $3
            ORDER BY w.user_id
            LIMIT $4
        ) AS w
        WHERE (SELECT are_few FROM size)
        UNION ALL
        SELECT w.user_id FROM (
            SELECT w.user_id, w.department_id
            FROM t_im_user u
            CROSS JOIN LATERAL (SELECT * FROM t_im_department_user w WHERE w.user_id = u.user_id OFFSET 0) AS w
            WHERE NOT (SELECT are_few FROM size) AND u.user_id > $3 AND u.active AND u.kind <> 'application'
              -- IS TRUE makes the plan hash the departments once, not once for each user.
              AND (w.department_id IN (SELECT department_id FROM place)) IS TRUE
            ORDER BY u.user_id
            LIMIT $4 * 2
        ) AS w
    ) AS next
    ORDER BY user_id
    LIMIT $4
)
SELECT u.user_id, u.name, u.head_icon, u.kind, u.title,
       coalesce(u.department_id IN (SELECT department_id FROM place), false) AS main
FROM page
CROSS JOIN LATERAL (SELECT * FROM t_im_user WHERE user_id = page.user_id OFFSET 0) AS u
ORDER BY u.user_id
