-- A channel's messages that its reader may see, oldest first.
-- $1 channel id, $2 reader, $3 above this seq, $4 above this ms_id, $5 limit
SELECT DISTINCT ON (page.seq) page.*, u.name AS sender_name
FROM t_im_channel_user i
CROSS JOIN LATERAL (
    SELECT ms_id, channel_id, seq, server_time, sender, ms_type, content
    FROM t_im_message
    WHERE channel_id = $1 AND seq > $3 AND ms_id > $4
      AND seq >= i.sees_from_seq AND (i.to_seq IS NULL OR seq <= i.to_seq)
      AND ms_id > CASE WHEN i.sees_from_seq = i.from_seq THEN i.from_ms_id ELSE 0 END
      AND ms_id > CASE WHEN $3 >= i.read_seq THEN i.read_ms_id ELSE 0 END
    ORDER BY seq
    LIMIT $5
) AS page
JOIN t_im_user u ON u.user_id = page.sender
WHERE i.channel_id = $1 AND i.user_id = $2
ORDER BY page.seq
LIMIT $5
