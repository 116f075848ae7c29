-- One page of a message's receivers with their status, by user id.
-- $1 ms_id, $2 channel id, $3 seq, $4 sender, $5 status or null, $6 after this receiver, $7 limit
SELECT receiver, name, status, verdict, verdict_reason, last_modified_time
FROM (
    SELECT m.user_id AS receiver, u.name, l.verdict, l.verdict_reason,
           (CASE WHEN m.read_seq >= $3 THEN 2
                 ELSE greatest(l.status, coalesce(p.status, 0)) END)::smallint AS status,
           coalesce(CASE WHEN l.status IS DISTINCT FROM 2::smallint AND m.read_seq >= $3 THEN r.read_at END,
                    p.received_at, l.last_modified_time,
                    im_minted_at($1)) AS last_modified_time
    FROM t_im_channel_user m
    CROSS JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = m.user_id OFFSET 0) AS u
    LEFT JOIN LATERAL (
        SELECT status, verdict, verdict_reason, last_modified_time FROM t_im_message_push
        WHERE ms_id = $1 AND receiver = m.user_id OFFSET 0) AS l ON true
    LEFT JOIN LATERAL (
        SELECT status, received_at FROM t_im_receipt_pending
        WHERE ms_id = $1 AND receiver = m.user_id OFFSET 0) AS p ON true
    LEFT JOIN LATERAL (
        SELECT read_at FROM t_im_read
        WHERE channel_id = $2 AND user_id = m.user_id AND to_seq >= $3 ORDER BY to_seq LIMIT 1) AS r ON true
    WHERE m.channel_id = $2 AND m.from_seq <= $3 AND (m.to_seq IS NULL OR m.to_seq >= $3)
      AND m.user_id <> $4 AND m.user_id > $6
) AS receiver
WHERE $5::smallint IS NULL OR status = $5
ORDER BY receiver
LIMIT $7
