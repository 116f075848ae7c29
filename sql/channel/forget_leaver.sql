-- Somebody who has left is in no group any more, or has come back.
-- $1 user id
DELETE FROM t_im_leaver l
WHERE l.user_id = $1
  AND NOT EXISTS (SELECT FROM t_im_channel_user m JOIN t_im_channel c USING (channel_id)
                  WHERE m.user_id = l.user_id AND m.to_seq IS NULL AND c.channel_type = 'group'
                    AND EXISTS (SELECT FROM t_im_user u WHERE u.user_id = l.user_id AND NOT u.active))
