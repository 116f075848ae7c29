-- Deletes receipts that the archive has, unless a later one arrived meanwhile. The page of the notification that sent the
-- message gets them too.
-- $1 ms_ids, $2 receivers, $3 statuses
WITH done AS MATERIALIZED (
    SELECT ms_id, receiver, status
    FROM unnest($1::bigint[], $2::text[], $3::smallint[]) AS given (ms_id, receiver, status)
),
page AS MATERIALIZED (
    SELECT DISTINCT p.notification_id, p.page
    FROM (SELECT DISTINCT ms_id FROM done) AS given
    CROSS JOIN LATERAL (
        SELECT notification_id, page FROM t_im_notification_page
        WHERE span @> given.ms_id AND given.ms_id = ANY (ms_ids) OFFSET 0
    ) AS p
),
kept AS (
    UPDATE t_im_notification_page p
    SET statuses = ARRAY(
        SELECT greatest(r.status, (SELECT max(done.status) FROM done WHERE done.ms_id = r.ms_id AND done.receiver = r.user_id))
        FROM unnest(p.user_ids, p.ms_ids, p.statuses) WITH ORDINALITY AS r (user_id, ms_id, status, ord)
        ORDER BY r.ord)
    FROM page
    WHERE p.notification_id = ANY (ARRAY[page.notification_id]) AND p.page = ANY (ARRAY[page.page])
)
DELETE FROM t_im_receipt_pending p
USING done
-- ANY: as in receipt/receive.sql.
WHERE p.ms_id = ANY (ARRAY[done.ms_id]) AND p.receiver = ANY (ARRAY[done.receiver]) AND p.status = done.status
