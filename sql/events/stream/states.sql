-- Whether users are online, since when, and the statuses that they show. Unknown users are omitted.
-- $1 user ids
-- ends_ms: in how many milliseconds the status ends
SELECT i.user_id, u.active AND u.status = 'online' AS online, u.status_since, s.text, s.emoji, s.until,
       (extract(epoch FROM s.until - im_clock()) * 1000)::bigint AS ends_ms
FROM unnest($1::text[]) AS i (user_id)
CROSS JOIN LATERAL (SELECT active, status, status_since FROM t_im_user WHERE user_id = i.user_id OFFSET 0) AS u
LEFT JOIN LATERAL (
    SELECT text, emoji, until FROM t_im_user_status
    WHERE user_id = i.user_id AND u.active AND (until IS NULL OR until > im_clock())
    OFFSET 0
) AS s ON true
