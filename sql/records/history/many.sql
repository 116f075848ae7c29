-- Hot messages by their ids, and the horizon. There is always a row, so that the horizon is from the same snapshot.
-- $1 ms_ids, $2 reader, or null for a role that may read everything. What the reader may not see is left out.
SELECT h.ms_id AS horizon, found.*, coalesce(c.replies, 0) AS replies, u.name AS sender_name, r.recalled_by, r.recalled_at
FROM t_im_horizon h
LEFT JOIN LATERAL (
    SELECT m.*
    FROM unnest($1::bigint[]) AS given (ms_id)
    CROSS JOIN LATERAL (
        SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content,
               CASE WHEN extra ? 'reply_to' THEN im_shown_extra(extra, channel_id, $2) ELSE extra END AS extra
        FROM t_im_message
        WHERE ms_id = given.ms_id AND ms_id >= h.ms_id
        OFFSET 0
    ) AS m
    WHERE $2::text IS NULL
       OR EXISTS (SELECT FROM v_im_visible v
                  WHERE v.channel_id = m.channel_id AND v.user_id = $2 AND m.seq >= v.sees_from_seq
                    AND (v.to_seq IS NULL OR m.seq <= v.to_seq)
                  OFFSET 0)
) AS found ON true
LEFT JOIN LATERAL (SELECT replies FROM t_im_reply_count WHERE ms_id = found.ms_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = found.sender OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT recalled_by, recalled_at FROM t_im_recall WHERE ms_id = found.ms_id OFFSET 0) AS r ON true
