-- The users to add to and to remove from a department group. The owner and robots are exempt.
-- $1 channel id
-- owner, left_out: the current values
WITH belongs AS MATERIALIZED (
    SELECT p.user_id
    FROM t_im_department_group g CROSS JOIN LATERAL im_department_people(g.department_id, g.below) AS p
    WHERE g.channel_id = $1
),
member AS MATERIALIZED (
    SELECT user_id, role FROM t_im_channel_user m
    WHERE m.channel_id = $1 AND m.to_seq IS NULL
      AND NOT EXISTS (SELECT FROM t_im_robot r WHERE r.channel_id = $1 AND r.user_id = m.user_id OFFSET 0)
)
SELECT ARRAY(SELECT user_id FROM belongs EXCEPT SELECT user_id FROM member ORDER BY 1) AS joining,
       ARRAY(SELECT user_id FROM member WHERE role <> 'owner' EXCEPT SELECT user_id FROM belongs ORDER BY 1) AS leaving,
       (SELECT owner FROM t_im_channel WHERE channel_id = $1) AS owner,
       coalesce((SELECT left_out FROM t_im_department_group WHERE channel_id = $1), 0) AS left_out
