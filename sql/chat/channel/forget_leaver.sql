-- Forgets a user who has left or returned, once all groups are adjusted.
-- $1 user id
DELETE FROM t_im_leaver l
USING t_im_user u
WHERE l.user_id = $1 AND u.user_id = l.user_id
  AND CASE WHEN u.active THEN NOT EXISTS (SELECT FROM t_im_left_group g WHERE g.user_id = l.user_id)
      ELSE NOT EXISTS (SELECT FROM t_im_channel_user m JOIN t_im_channel c USING (channel_id)
                       WHERE m.user_id = l.user_id AND m.to_seq IS NULL AND c.channel_type = 'group') END
