-- Channels as support sees them, newest first: those in which a user is or was, or those with a name, or one, or
-- groups without an active owner.
-- The last ones cost one probe of an index for each user who has left.
-- $1 user id or null, $2 channel id or null, $3 below this channel id, $4 limit, $5 whether only groups without an active
-- owner
WITH page AS MATERIALIZED (
    (SELECT DISTINCT channel_id FROM t_im_channel_user
     WHERE $1::text IS NOT NULL AND user_id = $1 AND channel_id < $3 AND ($2::bigint IS NULL OR channel_id = $2)
     ORDER BY channel_id DESC
     LIMIT $4)
    UNION ALL
    (SELECT channel_id FROM t_im_channel
     WHERE $1::text IS NULL AND $2::bigint IS NULL AND NOT $5::boolean AND channel_name IS NOT NULL AND channel_id < $3
     ORDER BY channel_id DESC
     LIMIT $4)
    UNION ALL
    (SELECT channel_id
     FROM ((SELECT channel_id FROM t_im_channel
            WHERE $5 AND owner IS NULL AND channel_type = 'group' AND dissolved_at IS NULL AND channel_id < $3
            -- As the index of owners has it: that of ids would read all channels.
            ORDER BY owner DESC, channel_id DESC
            LIMIT $4)
           UNION ALL
           SELECT theirs.channel_id FROM t_im_user u
           CROSS JOIN LATERAL (
               SELECT channel_id FROM t_im_channel
               WHERE owner = u.user_id AND channel_type = 'group' AND dissolved_at IS NULL AND channel_id < $3
               OFFSET 0
           ) AS theirs
           WHERE $5 AND NOT u.active) AS ownerless
     ORDER BY channel_id DESC
     LIMIT $4)
    UNION ALL
    SELECT $2 WHERE $1::text IS NULL AND $2::bigint IS NOT NULL
)
SELECT c.channel_id, c.channel_type, c.channel_name, c.picture, c.creator, c.create_time, c.member_count, c.last_seq,
       c.last_server_time, c.dissolved_at, g.department_id,
       c.owner, owner.name AS owner_name, owner.active AS owner_active,
       c.pair_low, low.name AS pair_low_name, c.pair_high, high.name AS pair_high_name,
       CASE WHEN $1::text IS NOT NULL THEN EXISTS (
           SELECT FROM t_im_channel_user m WHERE m.channel_id = c.channel_id AND m.user_id = $1 AND m.to_seq IS NULL
       ) END AS is_member
FROM page
CROSS JOIN LATERAL (SELECT * FROM t_im_channel WHERE channel_id = page.channel_id OFFSET 0) AS c
LEFT JOIN LATERAL (SELECT department_id FROM t_im_department_group WHERE channel_id = c.channel_id OFFSET 0) AS g ON true
LEFT JOIN LATERAL (SELECT name, active FROM t_im_user WHERE user_id = c.owner OFFSET 0) AS owner ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = c.pair_low OFFSET 0) AS low ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = c.pair_high OFFSET 0) AS high ON true
ORDER BY c.channel_id DESC
