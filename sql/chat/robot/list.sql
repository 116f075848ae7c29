-- The robots of a group, oldest first, or one of them.
-- $1 channel id, $2 robot id or null
SELECT r.robot_id, r.user_id, u.name, r.must_sign, r.created_by, r.created_at, r.rotated_at
FROM t_im_robot r
CROSS JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = r.user_id OFFSET 0) AS u
WHERE r.channel_id = $1 AND ($2::bigint IS NULL OR r.robot_id = $2)
ORDER BY r.robot_id
