-- Changes of the receivers that the document of a cold message may not have yet. The highest status counts.
-- $1 ms_id, $2 channel id, $3 seq
SELECT DISTINCT ON (receiver) receiver, status, at
FROM (
    SELECT receiver, status, received_at AS at FROM t_im_receipt_pending WHERE ms_id = $1
    UNION ALL
    SELECT user_id, status, read_at FROM t_im_read
    WHERE channel_id = $2 AND from_seq <= $3 AND to_seq >= $3
) AS late
ORDER BY receiver, status DESC, at
