-- One page of a channel's members, by user id.
-- $1 channel id, $2 after this user id, $3 limit
SELECT m.user_id, u.name, u.head_icon, m.role, m.joined_at,
       CASE WHEN m.silenced_until > im_clock() THEN m.silenced_until END AS silenced_until
FROM t_im_channel_user m
CROSS JOIN LATERAL (SELECT name, head_icon FROM t_im_user WHERE user_id = m.user_id OFFSET 0) AS u
WHERE m.channel_id = $1 AND m.to_seq IS NULL AND m.user_id > $2
ORDER BY m.user_id
LIMIT $3
