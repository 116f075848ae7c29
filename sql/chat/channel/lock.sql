-- Locks a channel against sends, joins and leaves. Returns the caller's membership.
-- $1 channel id, $2 caller
SELECT c.channel_type, c.owner, c.member_count, c.dissolved_at, c.who_adds, c.join_rule, c.mls_epoch IS NOT NULL AS encrypted, m.role, m.talk,
       (SELECT count(*) FROM t_im_robot r WHERE r.channel_id = c.channel_id)::integer AS robot_count,
       EXISTS (SELECT FROM t_im_department_group g WHERE g.channel_id = c.channel_id) AS follows_department
FROM t_im_channel c
JOIN t_im_channel_user m ON m.channel_id = c.channel_id AND m.user_id = $2 AND m.to_seq IS NULL
WHERE c.channel_id = $1
FOR NO KEY UPDATE OF c
