-- How many receivers a message has by status. Receivers come from the intervals, so that a
-- fan-out under way changes nothing; `read` is what is stored or what the cursor says.
-- $1 ms_id, $2 channel id, $3 seq, $4 sender
SELECT count(*) FILTER (WHERE status = 0) AS unreceived,
       count(*) FILTER (WHERE status = 1) AS received,
       count(*) FILTER (WHERE status = 2) AS read
FROM (
    SELECT CASE WHEN m.read_seq >= $3 THEN 2
                ELSE greatest(l.status, coalesce(p.status, 0)) END AS status
    FROM t_im_channel_user m
    LEFT JOIN LATERAL (SELECT status FROM t_im_message_push WHERE ms_id = $1 AND receiver = m.user_id OFFSET 0) AS l ON true
    LEFT JOIN LATERAL (SELECT status FROM t_im_receipt_pending WHERE ms_id = $1 AND receiver = m.user_id OFFSET 0) AS p ON true
    WHERE m.channel_id = $2 AND m.from_seq <= $3 AND (m.to_seq IS NULL OR m.to_seq >= $3)
      AND m.user_id <> $4
) AS receiver
