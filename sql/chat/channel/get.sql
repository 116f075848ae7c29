-- A channel as one of its members sees it. A direct channel has the name and picture of the other user.
-- $1 channel id, $2 caller
SELECT c.channel_id, c.channel_type,
       coalesce(c.channel_name, other.name) AS channel_name,
       coalesce(c.picture, other.head_icon) AS picture,
       c.announcement, c.creator, c.owner, c.create_time, c.newcomers_see, c.who_sends, c.member_count,
       c.description, c.join_rule, c.who_adds, c.findable, c.mls_epoch IS NOT NULL AS encrypted, c.last_seq, c.dissolved_at, m.role, g.department_id
FROM t_im_channel c
JOIN t_im_channel_user m ON m.channel_id = c.channel_id AND m.user_id = $2 AND m.to_seq IS NULL
LEFT JOIN t_im_department_group g ON g.channel_id = $1
LEFT JOIN t_im_user other
       ON other.user_id = CASE WHEN c.pair_low = $2 THEN c.pair_high ELSE c.pair_low END
WHERE c.channel_id = $1
