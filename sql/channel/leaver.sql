-- Somebody who has left the company, and a group that they are still in; or who is back, and a group that they were
-- taken out of; or no group.
SELECT l.user_id, u.active AS is_back,
       CASE WHEN u.active THEN
           (SELECT g.channel_id FROM t_im_left_group g WHERE g.user_id = l.user_id ORDER BY g.channel_id LIMIT 1)
       ELSE
           (SELECT m.channel_id FROM t_im_channel_user m JOIN t_im_channel c USING (channel_id)
            WHERE m.user_id = l.user_id AND m.to_seq IS NULL AND c.channel_type = 'group'
            ORDER BY m.channel_id LIMIT 1)
       END AS channel_id
FROM t_im_leaver l
JOIN t_im_user u USING (user_id)
ORDER BY l.user_id
LIMIT 1
