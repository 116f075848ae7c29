-- Whether a member can call in a channel that an earlier statement has locked: the rules of a send, as in
-- chat/message/admit.sql.
-- $1 channel id, $2 user id, $3 whether people must be friends for a direct message, $4 most users of a call
-- outcome: admitted, unknown_user, unknown_channel, dissolved, only_admins, blocked, no_friends, silenced, running, too_many
SELECT CASE WHEN u.user_id IS NULL THEN 'unknown_user'
            WHEN m.user_id IS NULL THEN 'unknown_channel'
            WHEN c.dissolved_at IS NOT NULL THEN 'dissolved'
            WHEN m.silenced_until IS NOT NULL AND m.silenced_until > im_clock() THEN 'silenced'
            WHEN c.who_sends = 'admins' AND m.role = 'member' AND u.kind <> 'application' THEN 'only_admins'
            WHEN m.talk = 'blocked' AND c.channel_type = 'direct' THEN 'blocked'
            WHEN $3::boolean AND c.channel_type = 'direct' AND m.talk IS DISTINCT FROM 'friend' AND u.kind <> 'application'
                 AND NOT EXISTS (SELECT FROM t_im_user other
                                 WHERE other.user_id = CASE c.pair_low WHEN $2 THEN c.pair_high ELSE c.pair_low END
                                   AND other.kind = 'application') THEN 'no_friends'
            WHEN open.call_id IS NOT NULL THEN 'running'
            WHEN c.member_count > $4::integer THEN 'too_many'
            ELSE 'admitted' END AS outcome,
       open.call_id, m.silenced_until AS until,
       coalesce(ceil(extract(epoch FROM m.silenced_until - im_clock())), 0)::bigint AS wait_s
FROM t_im_channel c
LEFT JOIN t_im_user u ON u.user_id = $2 AND u.active
LEFT JOIN t_im_channel_user m ON m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL
LEFT JOIN t_im_call open ON open.channel_id = $1 AND open.state <> 'ended'
WHERE c.channel_id = $1
