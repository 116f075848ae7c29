-- A group whose ownership is to be transferred by an administrator, and the new owner's membership. An earlier statement
-- locks the channel.
-- $1 channel id, $2 the new owner
SELECT c.channel_type, c.owner, c.dissolved_at,
       EXISTS (SELECT FROM t_im_channel_user m JOIN t_im_user u USING (user_id)
               WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL AND u.active
                 AND NOT EXISTS (SELECT FROM t_im_robot r WHERE r.user_id = $2)) AS can_own
FROM t_im_channel c
WHERE c.channel_id = $1
