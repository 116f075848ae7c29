-- Deletes the note of a group that a user lost by leaving the company, and returns the role with which the user rejoins.
-- There is no row if the user left too long ago or is a member, or if the group is dissolved or full. An earlier statement
-- locks the channel.
-- $1 channel id, $2 user id, $3 earliest time of leaving, $4 most members
WITH taken AS (
    DELETE FROM t_im_left_group WHERE channel_id = $1 AND user_id = $2 RETURNING role, left_at
)
SELECT t.role
FROM taken t
JOIN t_im_channel c ON c.channel_id = $1 AND c.dissolved_at IS NULL AND c.member_count < $4
JOIN t_im_user u ON u.user_id = $2 AND u.active
WHERE t.left_at > $3
  AND NOT EXISTS (SELECT FROM t_im_channel_user m WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL)
