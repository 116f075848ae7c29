-- Hot unread messages of some channels, newest first, and the horizon. There is always a row, so that the horizon is
-- from the same snapshot.
-- $1 channel ids, $2 their read cursors: seqs, $3 ms_ids, $4 reader, $5 below this ms_id, $6 limit
SELECT h.ms_id AS horizon, page.*, coalesce(c.replies, 0) AS replies, u.name AS sender_name, NULL::text AS recalled_by, NULL::timestamptz AS recalled_at
FROM t_im_horizon h
LEFT JOIN LATERAL (
    SELECT m.*
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS c (channel_id, read_seq, read_ms_id)
    CROSS JOIN LATERAL (
        SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content,
               CASE WHEN extra ? 'reply_to' THEN im_shown_extra(extra, channel_id, $4) ELSE extra END AS extra
        FROM (
            -- Apart from the conditions below, which would make a bitmap of the day's ids look cheap. So would both ends of
            -- a range of ids: IS TRUE takes the upper one out of the choice of an index.
            SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content, extra
            FROM t_im_message
            WHERE channel_id = c.channel_id AND seq > c.read_seq AND ms_id > c.read_ms_id
              AND ms_id >= h.ms_id AND (ms_id < $5) IS TRUE
            ORDER BY seq DESC
            OFFSET 0
        ) AS unread
        WHERE sender <> $4 AND NOT EXISTS (SELECT FROM t_im_recall r WHERE r.ms_id = unread.ms_id OFFSET 0)
        ORDER BY seq DESC
        LIMIT $6
    ) AS m
    ORDER BY m.ms_id DESC
    LIMIT $6
) AS page ON true
LEFT JOIN LATERAL (SELECT replies FROM t_im_reply_count WHERE ms_id = page.ms_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = page.sender OFFSET 0) AS u ON true
ORDER BY page.ms_id DESC
