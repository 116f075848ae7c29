-- The users that an external user sees, unless they are too many. A user may come twice.
-- $1 the external user, $2 most users
WITH RECURSIVE place (department_id) AS (
    SELECT g.department_id
    FROM t_im_department_grant g
    CROSS JOIN LATERAL (SELECT removed_at FROM t_im_department WHERE department_id = g.department_id OFFSET 0) AS d
    WHERE g.user_id = $1 AND d.removed_at IS NULL
    UNION
    -- OFFSET 0 makes the departments below one a key lookup.
    SELECT d.department_id
    FROM place p
    CROSS JOIN LATERAL (SELECT department_id, removed_at FROM t_im_department WHERE parent_id = p.department_id OFFSET 0) AS d
    WHERE d.removed_at IS NULL
)
(SELECT $1 AS user_id)
UNION ALL
(SELECT theirs.user_id
 FROM t_im_channel_user mine
 CROSS JOIN LATERAL (SELECT user_id FROM t_im_channel_user m
                     WHERE m.channel_id = mine.channel_id AND m.to_seq IS NULL OFFSET 0) AS theirs
 WHERE mine.user_id = $1 AND mine.to_seq IS NULL)
UNION ALL
(SELECT w.user_id
 FROM place p
 CROSS JOIN LATERAL (SELECT user_id FROM t_im_department_user w WHERE w.department_id = p.department_id OFFSET 0) AS w)
LIMIT $2
