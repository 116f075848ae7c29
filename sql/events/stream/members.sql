-- The memberships of listeners in the channels of a page. Small channels are read completely. In large
-- channels the listeners are looked up. LATERAL prevents a plan that reads all members of all channels.
-- $1 channel ids, $2 an object: the number of each listener by user id
-- $3 most members of a channel that is read completely
WITH channel AS MATERIALIZED (
    SELECT channel_id, member_count <= $3::integer AS small
    FROM t_im_channel WHERE channel_id = ANY ($1::bigint[])
),
listener AS MATERIALIZED (
    SELECT key AS user_id, value::integer AS number
    FROM jsonb_each_text($2::jsonb)
    WHERE EXISTS (SELECT FROM channel WHERE NOT small)
)
SELECT c.channel_id, ($2::jsonb ->> m.user_id)::integer AS number, m.from_seq, m.sees_from_seq, m.to_seq
FROM channel c
CROSS JOIN LATERAL (
    SELECT user_id, from_seq, sees_from_seq, to_seq
    FROM v_im_visible
    WHERE channel_id = c.channel_id AND $2::jsonb ? user_id
    OFFSET 0
) AS m
WHERE c.small
UNION ALL
SELECT c.channel_id, l.number, m.from_seq, m.sees_from_seq, m.to_seq
FROM channel c
CROSS JOIN listener l
CROSS JOIN LATERAL (
    SELECT from_seq, sees_from_seq, to_seq
    FROM v_im_visible
    WHERE channel_id = c.channel_id AND user_id = l.user_id
    OFFSET 0
) AS m
WHERE NOT c.small
