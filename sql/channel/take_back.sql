-- Forgets a group that somebody was taken out of, and says what they come back as: nothing, if it is too late, the
-- group is dissolved or full, or they are in it. The channel is locked by an earlier statement.
-- $1 channel id, $2 user id, $3 they must not have left before, $4 most members
WITH taken AS (
    DELETE FROM t_im_left_group WHERE channel_id = $1 AND user_id = $2 RETURNING role, left_at
)
SELECT t.role
FROM taken t
JOIN t_im_channel c ON c.channel_id = $1 AND c.dissolved_at IS NULL AND c.member_count < $4
JOIN t_im_user u ON u.user_id = $2 AND u.active
WHERE t.left_at > $3
  AND NOT EXISTS (SELECT FROM t_im_channel_user m WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL)
