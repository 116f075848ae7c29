-- A member's read cursor and unread count: the messages after the cursor, without the member's own and without
-- recalled ones of others.
-- $1 channel id, $2 user id
SELECT m.read_seq,
       (c.last_seq - m.read_seq) - (coalesce(s.sent_count, 0) - m.read_sent_count)
       - CASE WHEN c.last_recalled_seq <= m.read_seq THEN 0
              ELSE (SELECT count(*) FROM t_im_recall r
                    WHERE r.channel_id = m.channel_id AND r.seq > m.read_seq AND r.sender <> m.user_id)
         END AS unread_count
FROM t_im_channel_user m
JOIN t_im_channel c USING (channel_id)
LEFT JOIN t_im_channel_sender s ON s.channel_id = m.channel_id AND s.user_id = m.user_id
WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL
