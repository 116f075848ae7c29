-- The membership of a user who has left the company, and the next owner of the group. An earlier statement
-- locks the channel.
-- $1 channel id, $2 user id
SELECT m.role = 'owner' AND c.dissolved_at IS NULL AS owns, im_clock() AS now,
       (SELECT h.user_id FROM t_im_channel_user h JOIN t_im_user u USING (user_id)
        WHERE h.channel_id = $1 AND h.to_seq IS NULL AND h.user_id <> $2 AND u.active
          AND NOT EXISTS (SELECT FROM t_im_robot r WHERE r.user_id = h.user_id)
        ORDER BY h.role <> 'admin', h.joined_at, h.user_id
        LIMIT 1) AS heir
FROM t_im_channel_user m
JOIN t_im_channel c USING (channel_id)
JOIN t_im_user u USING (user_id)
WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL AND NOT u.active
