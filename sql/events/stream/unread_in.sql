-- The number of unread messages of users in channels. There is no row for a user who is no member.
-- $1 user ids, $2 channel ids: one element each for a user in a channel
SELECT given.ord,
       (c.last_seq - m.read_seq) - (coalesce(s.sent_count, 0) - m.read_sent_count)
       - CASE WHEN c.last_recalled_seq <= m.read_seq THEN 0
              ELSE (SELECT count(*) FROM t_im_recall r
                    WHERE r.channel_id = given.channel_id AND r.seq > m.read_seq AND r.sender <> given.user_id)
         END AS unread_count
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS given (user_id, channel_id, ord)
CROSS JOIN LATERAL (SELECT read_seq, read_sent_count FROM t_im_channel_user
                    WHERE channel_id = given.channel_id AND user_id = given.user_id AND to_seq IS NULL OFFSET 0) AS m
CROSS JOIN LATERAL (SELECT last_seq, last_recalled_seq FROM t_im_channel
                    WHERE channel_id = given.channel_id OFFSET 0) AS c
LEFT JOIN LATERAL (SELECT sent_count FROM t_im_channel_sender
                   WHERE channel_id = given.channel_id AND user_id = given.user_id OFFSET 0) AS s ON true
