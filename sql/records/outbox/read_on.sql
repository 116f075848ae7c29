-- Moves the start of a range after the archive has a part of it. A completed range is deleted. The pages of the
-- notifications that sent its messages get the status too.
-- $1 channel id, $2 user id, $3 last seq of the range, $4 its status, $5 the next seq, $6 the messages of the part
WITH page AS MATERIALIZED (
    SELECT DISTINCT p.notification_id, p.page
    FROM unnest($6::bigint[]) AS given (ms_id)
    CROSS JOIN LATERAL (
        SELECT notification_id, page FROM t_im_notification_page
        WHERE span @> given.ms_id AND given.ms_id = ANY (ms_ids) OFFSET 0
    ) AS p
),
kept AS (
    UPDATE t_im_notification_page p
    SET statuses = ARRAY(
        SELECT CASE WHEN r.user_id = $2 AND r.ms_id = ANY ($6) THEN greatest(r.status, $4) ELSE r.status END
        FROM unnest(p.user_ids, p.ms_ids, p.statuses) WITH ORDINALITY AS r (user_id, ms_id, status, ord)
        ORDER BY r.ord)
    FROM page
    WHERE p.notification_id = ANY (ARRAY[page.notification_id]) AND p.page = ANY (ARRAY[page.page])
),
done AS (
    DELETE FROM t_im_read WHERE channel_id = $1 AND user_id = $2 AND to_seq = $3 AND status = $4 AND to_seq < $5
)
UPDATE t_im_read SET from_seq = $5
WHERE channel_id = $1 AND user_id = $2 AND to_seq = $3 AND status = $4 AND to_seq >= $5
