-- The statuses of users, by id. Unknown users are omitted. A user that only silent instances hold is offline
-- from the moment they counted as gone, even before their release.
-- $1 user ids, $2 silent before, $3 now
SELECT u.user_id,
       CASE WHEN u.status = 'online' AND last.heard_at >= $2 THEN 'online' ELSE 'offline' END AS status,
       CASE WHEN u.status = 'online' AND last.heard_at < $2
            THEN greatest(u.status_since, last.heard_at + ($3::timestamptz - $2::timestamptz))
            ELSE u.status_since END AS status_since,
       s.text AS status_text, s.emoji AS status_emoji, s.until AS status_until
FROM t_im_user u
LEFT JOIN LATERAL (
    SELECT g.heard_at FROM t_im_presence p JOIN t_im_presence_gateway g ON g.gateway = p.gateway
    WHERE p.user_id = u.user_id
    ORDER BY g.heard_at DESC LIMIT 1) AS last ON true
LEFT JOIN LATERAL (
    SELECT text, emoji, until FROM t_im_user_status
    WHERE user_id = u.user_id AND (until IS NULL OR until > im_clock())
    OFFSET 0
) AS s ON u.active
WHERE u.user_id = ANY ($1::text[])
ORDER BY u.user_id
