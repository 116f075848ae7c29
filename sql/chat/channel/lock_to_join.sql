-- Locks a group for a user who wants to join it, against sends, joins and leaves.
-- $1 channel id, $2 user id
SELECT c.join_rule, c.findable, c.member_count,
       EXISTS (SELECT FROM t_im_channel_user m
               WHERE m.channel_id = c.channel_id AND m.user_id = $2 AND m.to_seq IS NULL) AS is_member,
       EXISTS (SELECT FROM t_im_removed r WHERE r.channel_id = c.channel_id AND r.user_id = $2) AS was_removed,
       EXISTS (SELECT FROM t_im_department_group g WHERE g.channel_id = c.channel_id) AS follows_department
FROM t_im_channel c
WHERE c.channel_id = $1 AND c.channel_type = 'group' AND c.dissolved_at IS NULL
FOR NO KEY UPDATE OF c
