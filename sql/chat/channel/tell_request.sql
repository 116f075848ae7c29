-- Tells the owner and the admins of a group, and the user, of a request to join. Other members are not told.
-- $1 channel id, $2 actor, $3 user id, $4 state, $5 most admins
SELECT im_emit('channel.join_request', NULL, $2,
               jsonb_build_object('channel_id', $1::bigint::text, 'user_id', $3::text, 'state', $4::text,
                                  'name', (SELECT channel_name FROM t_im_channel WHERE channel_id = $1)),
               ARRAY(SELECT user_id FROM t_im_channel_user
                     WHERE channel_id = $1 AND role <> 'member' AND to_seq IS NULL ORDER BY user_id LIMIT $5::bigint)
                   || $3::text,
               im_clock())
