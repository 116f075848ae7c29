-- Notes the messages of a page, and why receivers get none.
-- $1 notification id, $2 page, $3 channel ids, $4 ms_ids, $5 seqs, $6 reasons: one element per receiver
UPDATE t_im_notification_page
SET channel_ids = $3, ms_ids = $4, seqs = $5, reasons = $6,
    span = (SELECT int8range(min(ms_id), max(ms_id), '[]') FROM unnest($4::bigint[]) AS sent (ms_id) HAVING count(ms_id) > 0)
WHERE notification_id = $1 AND page = $2
