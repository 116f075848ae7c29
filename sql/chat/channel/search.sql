-- Groups that may be found, newest first, by a part of their name or description. A stretch of them is read.
-- $1 folded text or null, $2 below this channel id, $3 most groups to read, $4 the user who looks, $5 limit
-- reached, looked: where the stretch ends, and how many groups it has. There is always a row.
WITH looked AS MATERIALIZED (
    SELECT channel_id FROM t_im_channel
    WHERE (findable OR join_rule <> 'closed') AND dissolved_at IS NULL AND channel_id < $2
    ORDER BY channel_id DESC
    LIMIT $3::bigint
),
found AS (
    SELECT c.channel_id, c.channel_name, c.picture, c.description, c.member_count, c.join_rule,
           EXISTS (SELECT FROM t_im_channel_user m
                   WHERE m.channel_id = c.channel_id AND m.user_id = $4 AND m.to_seq IS NULL) AS is_member
    FROM looked l
    CROSS JOIN LATERAL (SELECT * FROM t_im_channel WHERE channel_id = l.channel_id OFFSET 0) AS c
    WHERE $1::text IS NULL OR position($1 IN c.words) > 0
    ORDER BY c.channel_id DESC
    LIMIT $5::bigint
)
SELECT stretch.reached, stretch.looked, found.*
FROM (SELECT min(channel_id) AS reached, count(*) AS looked FROM looked) AS stretch
LEFT JOIN found ON true
ORDER BY found.channel_id DESC
