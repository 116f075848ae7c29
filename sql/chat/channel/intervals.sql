-- The users who are or were in a channel, by user id, with their memberships, oldest first.
-- $1 channel id, $2 after this user id, $3 most users
WITH page AS MATERIALIZED (
    SELECT DISTINCT user_id FROM t_im_channel_user
    WHERE channel_id = $1 AND user_id > $2
    ORDER BY user_id
    LIMIT $3
)
SELECT page.user_id, u.name, u.kind, u.active, i.from_seq, i.to_seq, i.sees_from_seq, i.joined_at, i.role, i.read_seq,
       greatest(i.received_seq, i.read_seq) AS received_seq
FROM page
CROSS JOIN LATERAL (SELECT name, kind, active FROM t_im_user WHERE user_id = page.user_id OFFSET 0) AS u
CROSS JOIN LATERAL (
    SELECT from_seq, to_seq, sees_from_seq, joined_at, role, read_seq, received_seq
    FROM t_im_channel_user
    WHERE channel_id = $1 AND user_id = page.user_id
    OFFSET 0
) AS i
ORDER BY page.user_id, i.from_seq
