-- One page of the users who wait to join a group, by user id.
-- $1 channel id, $2 after this user id, $3 limit
SELECT r.user_id, u.name, CASE WHEN u.active THEN u.head_icon END AS head_icon, r.message, r.requested_at
FROM t_im_join_request r
JOIN t_im_user u USING (user_id)
WHERE r.channel_id = $1 AND r.user_id > $2
ORDER BY r.user_id
LIMIT $3
