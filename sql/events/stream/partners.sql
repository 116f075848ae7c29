-- The users of whose presence listeners hear: their friends and those they follow, their partners in direct channels, then
-- those in the smallest groups. A listener hears of no user who blocks it.
-- $1 user ids of listeners, $2 most partners of each
SELECT l.user_id AS listener, p.user_id
FROM unnest($1::text[]) AS l (user_id)
CROSS JOIN LATERAL (
    SELECT partner.user_id
    FROM (
        (SELECT 0::bigint AS place, other_id AS user_id
         FROM t_im_relation
         WHERE user_id = l.user_id AND (friend IS NOT NULL OR follows OR blocks) AND (friend = 'friend' OR follows)
         ORDER BY other_id
         LIMIT $2::integer)
        UNION ALL
        SELECT channel.place, member.user_id
        FROM (
            SELECT c.channel_id, row_number() OVER (ORDER BY c.channel_type <> 'direct', c.member_count, c.channel_id DESC) AS place
            FROM (SELECT channel_id FROM t_im_channel_user WHERE user_id = l.user_id AND to_seq IS NULL OFFSET 0) AS mine
            CROSS JOIN LATERAL (
                SELECT channel_id, channel_type, member_count FROM t_im_channel
                WHERE channel_id = mine.channel_id AND dissolved_at IS NULL
                OFFSET 0
            ) AS c
            ORDER BY place
            LIMIT $2
        ) AS channel
        CROSS JOIN LATERAL (
            SELECT user_id FROM t_im_channel_user
            WHERE channel_id = channel.channel_id AND to_seq IS NULL AND user_id <> l.user_id
            LIMIT $2
        ) AS member
    ) AS partner
    WHERE NOT EXISTS (
        SELECT FROM t_im_relation WHERE user_id = l.user_id AND other_id = partner.user_id AND blocked OFFSET 0)
    GROUP BY partner.user_id
    ORDER BY min(partner.place), partner.user_id
    LIMIT $2
) AS p
