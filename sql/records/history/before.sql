-- Hot messages of a channel that the reader may see, or all of them, newest first, and the horizon. There is always a row, so
-- that the horizon is from the same snapshot.
-- $1 channel id, $2 reader, or null for a role that may read everything, $3 below this seq, $4 below this ms_id, $5 above this seq, $6 limit
SELECT h.ms_id AS horizon, page.*, coalesce(c.replies, 0) AS replies, u.name AS sender_name, r.recalled_by, r.recalled_at
FROM t_im_horizon h
LEFT JOIN LATERAL (
    SELECT DISTINCT ON (seq) visible.*
    FROM (
        SELECT from_seq, from_ms_id, to_seq, sees_from_seq, read_seq, read_ms_id
        FROM v_im_visible
        WHERE channel_id = $1 AND user_id = $2
        UNION ALL
        SELECT 1, 0, NULL, 1, 0, 0 WHERE $2 IS NULL
    ) AS i
    CROSS JOIN LATERAL (
        SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content,
               CASE WHEN extra ? 'reply_to' THEN im_shown_extra(extra, channel_id, $2) ELSE extra END AS extra
        FROM t_im_message
        WHERE channel_id = $1 AND seq < $3 AND ms_id < $4 AND seq > $5 AND ms_id >= h.ms_id
          AND seq >= i.sees_from_seq AND (i.to_seq IS NULL OR seq <= i.to_seq)
          AND ms_id > CASE WHEN i.sees_from_seq = i.from_seq THEN i.from_ms_id ELSE 0 END
        ORDER BY seq DESC
        LIMIT $6
    ) AS visible
    ORDER BY seq DESC
    LIMIT $6
) AS page ON true
LEFT JOIN LATERAL (SELECT replies FROM t_im_reply_count WHERE ms_id = page.ms_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = page.sender OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT recalled_by, recalled_at FROM t_im_recall WHERE ms_id = page.ms_id OFFSET 0) AS r ON true
ORDER BY page.seq DESC
