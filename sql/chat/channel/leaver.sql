-- A user who has left with one of their groups, or a user who is back with a group to return to. The group
-- can be null. OFFSET 0 makes the plan start at the few leavers, whatever the statistics say.
SELECT l.user_id, u.active AS is_back,
       CASE WHEN u.active THEN
           (SELECT g.channel_id FROM t_im_left_group g WHERE g.user_id = l.user_id ORDER BY g.channel_id LIMIT 1)
       ELSE
           (SELECT m.channel_id
            FROM t_im_channel_user m
            CROSS JOIN LATERAL (SELECT channel_type FROM t_im_channel WHERE channel_id = m.channel_id OFFSET 0) AS c
            WHERE m.user_id = l.user_id AND m.to_seq IS NULL AND c.channel_type = 'group'
            ORDER BY m.channel_id LIMIT 1)
       END AS channel_id
FROM t_im_leaver l
CROSS JOIN LATERAL (SELECT active FROM t_im_user WHERE user_id = l.user_id OFFSET 0) AS u
ORDER BY l.user_id
LIMIT 1
