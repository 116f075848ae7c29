-- Hot messages with a mark, newest first or oldest first, and the horizon. There is always a row, so that the horizon is
-- from the same snapshot. Each order has a branch of its own, which reads the marks by their key and ends at the limit.
-- $1 mark, $2 channel id, $3 reader, both null for all messages
-- $4 below this ms_id, $5 above this ms_id, $6 whether the oldest come first, $7 limit
SELECT h.ms_id AS horizon, page.*, u.name AS sender_name, r.recalled_by, r.recalled_at, coalesce(c.replies, 0) AS replies
FROM t_im_horizon h
CROSS JOIN LATERAL (
    -- What came before a newcomer is not even looked at.
    SELECT greatest(h.ms_id, $5::bigint + 1,
                    (SELECT min(CASE WHEN sees_from_seq = from_seq THEN from_ms_id ELSE 0 END) + 1
                     FROM v_im_visible WHERE channel_id = $2 AND user_id = $3)) AS ms_id
    OFFSET 0
) AS low
LEFT JOIN LATERAL (
    (SELECT m.*
     FROM t_im_mark k
     CROSS JOIN LATERAL (
         SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content,
                CASE WHEN extra ? 'reply_to' THEN im_shown_extra(extra, channel_id, $3) ELSE extra END AS extra
         FROM t_im_message
         WHERE ms_id = k.ms_id
           AND ($3::text IS NULL
                OR EXISTS (SELECT FROM v_im_visible v
                           WHERE v.channel_id = t_im_message.channel_id AND v.user_id = $3
                             AND t_im_message.seq >= v.sees_from_seq
                             AND (v.to_seq IS NULL OR t_im_message.seq <= v.to_seq)
                           OFFSET 0))
         OFFSET 0
     ) AS m
     WHERE NOT $6 AND k.mark = $1 AND k.ms_id >= low.ms_id AND k.ms_id < $4
     ORDER BY k.ms_id DESC
     LIMIT $7)
    UNION ALL
    (SELECT m.*
     FROM t_im_mark k
     CROSS JOIN LATERAL (
         SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content,
                CASE WHEN extra ? 'reply_to' THEN im_shown_extra(extra, channel_id, $3) ELSE extra END AS extra
         FROM t_im_message
         WHERE ms_id = k.ms_id
           AND ($3::text IS NULL
                OR EXISTS (SELECT FROM v_im_visible v
                           WHERE v.channel_id = t_im_message.channel_id AND v.user_id = $3
                             AND t_im_message.seq >= v.sees_from_seq
                             AND (v.to_seq IS NULL OR t_im_message.seq <= v.to_seq)
                           OFFSET 0))
         OFFSET 0
     ) AS m
     WHERE $6 AND k.mark = $1 AND k.ms_id >= low.ms_id AND k.ms_id < $4
     ORDER BY k.ms_id
     LIMIT $7)
) AS page ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = page.sender OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT recalled_by, recalled_at FROM t_im_recall WHERE ms_id = page.ms_id OFFSET 0) AS r ON true
LEFT JOIN LATERAL (SELECT replies FROM t_im_reply_count WHERE ms_id = page.ms_id OFFSET 0) AS c ON true
ORDER BY CASE WHEN $6 THEN page.ms_id ELSE -page.ms_id END
