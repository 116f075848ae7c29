-- Somebody who has left the company, and a group that they are still in, or null.
SELECT l.user_id,
       (SELECT m.channel_id FROM t_im_channel_user m JOIN t_im_channel c USING (channel_id)
        WHERE m.user_id = l.user_id AND m.to_seq IS NULL AND c.channel_type = 'group'
          AND EXISTS (SELECT FROM t_im_user u WHERE u.user_id = l.user_id AND NOT u.active)
        ORDER BY m.channel_id LIMIT 1) AS channel_id
FROM t_im_leaver l
ORDER BY l.user_id
LIMIT 1
