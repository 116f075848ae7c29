-- The channels of a user with unread messages, the newest message first, each with the read cursor.
-- $1 user id
SELECT channel_id, read_seq, read_ms_id, last_seq, last_ms_id
FROM (
    SELECT m.channel_id, m.read_seq, m.read_ms_id, c.last_seq, c.last_ms_id,
           (c.last_seq - m.read_seq) - (coalesce(s.sent_count, 0) - m.read_sent_count)
           - CASE WHEN c.last_recalled_seq <= m.read_seq THEN 0
                  ELSE (SELECT count(*) FROM t_im_recall r
                        WHERE r.channel_id = m.channel_id AND r.seq > m.read_seq AND r.sender <> m.user_id)
             END AS unread_count
    FROM t_im_channel_user m
    JOIN t_im_channel c ON c.channel_id = m.channel_id
    LEFT JOIN t_im_channel_sender s ON s.channel_id = m.channel_id AND s.user_id = m.user_id
    WHERE m.user_id = $1 AND m.to_seq IS NULL
) AS mine
WHERE unread_count > 0
ORDER BY last_ms_id DESC
