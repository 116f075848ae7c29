-- Creates a notification with the pages of its receivers.
-- $1 sender, $2 client id, $3 now, $4 user ids or null, $5 department ids or null, $6 whether with departments below
-- $7 whether to all people, $8 most receivers, $9 receivers of a page
-- $10 type, $11 content, $12 urgent, $13 kinds and $14 seconds of its steps, $15 send at, $16 expires at
-- $17 topic, $18 data, $19 reference, or nulls, $20 whether the gate has replaced the content
-- Returns one receiver more than $8 if there are too many.
WITH RECURSIVE asked AS MATERIALIZED (
    SELECT given.user_id, min(given.ord) AS ord
    FROM unnest($4::text[]) WITH ORDINALITY AS given (user_id, ord)
    GROUP BY given.user_id
),
found AS MATERIALIZED (
    -- A robot belongs to its group alone.
    SELECT asked.user_id, asked.ord,
           CASE WHEN asked.user_id = $1 THEN 'sender' WHEN u.user_id IS NULL OR u.source = 'robot' THEN 'unknown'
                WHEN NOT u.active THEN 'left' END AS reason
    FROM asked
    LEFT JOIN LATERAL (SELECT user_id, active, source FROM t_im_user WHERE user_id = asked.user_id OFFSET 0) AS u ON true
),
known AS MATERIALIZED (
    SELECT given.department_id, min(given.ord) AS ord, bool_or(d.department_id IS NOT NULL) AS is_known
    FROM unnest($5::text[]) WITH ORDINALITY AS given (department_id, ord)
    LEFT JOIN LATERAL (SELECT department_id FROM t_im_department
                       WHERE department_id = given.department_id AND removed_at IS NULL OFFSET 0) AS d ON true
    GROUP BY given.department_id
),
place (department_id) AS (
    SELECT department_id COLLATE "C" FROM known WHERE is_known
    UNION
-- OFFSET 0 makes the departments below one a key lookup.
    SELECT d.department_id
    FROM place p
    CROSS JOIN LATERAL (SELECT department_id, removed_at FROM t_im_department WHERE parent_id = p.department_id OFFSET 0) AS d
    WHERE $6::boolean AND d.removed_at IS NULL
),
receiver AS MATERIALIZED (
    SELECT user_id, row_number() OVER (ORDER BY user_id) - 1 AS place
    FROM (SELECT user_id FROM found WHERE reason IS NULL
          UNION SELECT w.user_id
                FROM place
                CROSS JOIN LATERAL (SELECT user_id FROM t_im_department_user
                                    WHERE department_id = place.department_id OFFSET 0) AS w
                CROSS JOIN LATERAL (SELECT FROM t_im_user
                                    WHERE user_id = w.user_id AND active AND kind <> 'application' OFFSET 0) AS u
          UNION SELECT user_id FROM t_im_user WHERE $7::boolean AND active AND kind <> 'application'
          LIMIT $8::integer + 1) AS all_of_them
),
problem AS (
    SELECT ord, jsonb_build_object('user_id', user_id, 'reason', reason) AS told FROM found WHERE reason IS NOT NULL
    UNION ALL
    SELECT 1000000000 + ord, jsonb_build_object('department_id', department_id, 'reason', 'unknown') FROM known WHERE NOT is_known
),
made AS (
    INSERT INTO t_im_notification (sender, client_id, created_at, problems, ms_type, content, urgent, step_kinds, step_after_s,
                                   send_at, expires_at, topic, data, ref, replaced, receivers, pages, is_open)
    SELECT $1, $2, $3, (SELECT coalesce(jsonb_agg(told ORDER BY ord), '[]') FROM problem), $10, $11, $12, $13, $14, $15, $16,
           $17, $18, $19, $20,
           count(*), (count(*) + $9::integer - 1) / $9::integer, count(*) > 0
    FROM receiver
    RETURNING notification_id, receivers, problems, replaced
),
paged AS (
    INSERT INTO t_im_notification_page (notification_id, page, user_ids)
    SELECT made.notification_id, receiver.place / $9::integer, array_agg(receiver.user_id ORDER BY receiver.place)
    FROM made, receiver
    GROUP BY 1, 2
)
SELECT notification_id, receivers, problems, replaced FROM made
