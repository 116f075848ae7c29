-- The channels of users with unread messages, and the number in each.
-- $1 user ids
SELECT given.user_id, mine.channel_id, mine.unread_count
FROM unnest($1::text[]) AS given (user_id)
CROSS JOIN LATERAL (
    SELECT m.channel_id,
           (c.last_seq - m.read_seq) - (coalesce(s.sent_count, 0) - m.read_sent_count)
           - CASE WHEN c.last_recalled_seq <= m.read_seq THEN 0
                  ELSE (SELECT count(*) FROM t_im_recall r
                        WHERE r.channel_id = m.channel_id AND r.seq > m.read_seq AND r.sender <> m.user_id)
             END AS unread_count
    FROM t_im_channel_user m
    CROSS JOIN LATERAL (SELECT last_seq, last_recalled_seq FROM t_im_channel
                        WHERE channel_id = m.channel_id OFFSET 0) AS c
    LEFT JOIN LATERAL (SELECT sent_count FROM t_im_channel_sender
                       WHERE channel_id = m.channel_id AND user_id = m.user_id OFFSET 0) AS s ON true
    WHERE m.user_id = given.user_id AND m.to_seq IS NULL
    OFFSET 0
) AS mine
WHERE mine.unread_count > 0
