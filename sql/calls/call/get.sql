-- Calls as a member of their channels sees them, oldest first: one call, or those that go on.
-- $1 user id, $2 call id or null, $3 channel id or null, $4 limit
SELECT c.call_id, c.channel_id, c.caller, c.media, c.state, c.outcome, c.began_at, c.rings_until, c.answered_at, c.ended_at,
       users.users,
       CASE WHEN users.is_in AND c.state <> 'ended'
            THEN (SELECT coalesce(jsonb_agg(jsonb_build_object('name', d.name, 'user_id', d.user_id, 'data', d.data)
                                            ORDER BY d.name), '[]')
                  FROM t_im_call_data d WHERE d.call_id = c.call_id) END AS data
FROM (SELECT * FROM t_im_call WHERE call_id = $2
      UNION ALL
      SELECT * FROM t_im_call WHERE $2::bigint IS NULL AND state <> 'ended') AS c
CROSS JOIN LATERAL (SELECT joined_at FROM t_im_channel_user
                    WHERE channel_id = c.channel_id AND user_id = $1 AND to_seq IS NULL OFFSET 0) AS m
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'user_id', u.user_id, 'state', u.state,
               -- The user is in another call, too.
               'busy', c.state <> 'ended' AND EXISTS (
                   SELECT FROM t_im_call_user other
                   CROSS JOIN LATERAL (SELECT state FROM t_im_call WHERE call_id = other.call_id OFFSET 0) AS oc
                   WHERE other.user_id = u.user_id AND other.state = 'joined' AND other.call_id <> c.call_id
                     AND oc.state <> 'ended'))
               ORDER BY u.user_id), '[]') AS users,
           bool_or(u.user_id = $1 AND u.state = 'joined') AS is_in
    FROM v_im_call_user u
    WHERE u.call_id = c.call_id
) AS users
WHERE ($3::bigint IS NULL OR c.channel_id = $3)
  -- Who joins later does not learn of the calls before.
  AND (c.ended_at IS NULL OR m.joined_at <= c.ended_at)
ORDER BY c.call_id
LIMIT $4
