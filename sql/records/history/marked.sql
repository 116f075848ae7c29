-- Hot messages with a mark, newest first or oldest first, and the horizon. There is always a row, so that the horizon is
-- from the same snapshot.
-- $1 mark, $2 channel id, or null for all channels, $3 reader, or null for all messages
-- $4 below this ms_id, $5 above this ms_id, $6 whether the oldest come first, $7 limit
SELECT h.ms_id AS horizon, page.*, u.name AS sender_name, r.recalled_by, r.recalled_at, coalesce(c.replies, 0) AS replies
FROM t_im_horizon h
LEFT JOIN LATERAL (
    SELECT m.*
    FROM t_im_mark k
    CROSS JOIN LATERAL (
        SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content,
               CASE WHEN extra ? 'reply_to' THEN im_shown_extra(extra) ELSE extra END AS extra
        FROM t_im_message WHERE ms_id = k.ms_id OFFSET 0
    ) AS m
    WHERE k.mark = $1 AND ($2::bigint IS NULL OR k.channel_id = $2)
      AND k.ms_id >= h.ms_id AND k.ms_id < $4 AND k.ms_id > $5
      AND ($3::text IS NULL
           OR EXISTS (SELECT FROM v_im_visible v
                      WHERE v.channel_id = m.channel_id AND v.user_id = $3 AND m.seq >= v.sees_from_seq
                        AND (v.to_seq IS NULL OR m.seq <= v.to_seq)
                      OFFSET 0))
    ORDER BY CASE WHEN $6 THEN k.ms_id ELSE -k.ms_id END
    LIMIT $7
) AS page ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = page.sender OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT recalled_by, recalled_at FROM t_im_recall WHERE ms_id = page.ms_id OFFSET 0) AS r ON true
LEFT JOIN LATERAL (SELECT replies FROM t_im_reply_count WHERE ms_id = page.ms_id OFFSET 0) AS c ON true
ORDER BY CASE WHEN $6 THEN page.ms_id ELSE -page.ms_id END
