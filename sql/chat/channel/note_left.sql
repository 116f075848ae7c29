-- Remembers a group of a user who has left the company. An owner returns as an admin. Department groups are
-- excluded, because they follow the directory. An earlier statement locks the channel.
-- $1 channel id, $2 user id
INSERT INTO t_im_left_group (user_id, channel_id, role, left_at)
SELECT m.user_id, m.channel_id, CASE m.role WHEN 'owner' THEN 'admin' ELSE m.role END, im_clock()
FROM t_im_channel_user m
WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL
  AND NOT EXISTS (SELECT FROM t_im_department_group g WHERE g.channel_id = $1)
ON CONFLICT (user_id, channel_id) DO UPDATE SET role = EXCLUDED.role, left_at = EXCLUDED.left_at
