-- Keeps the statuses of a sealed day's messages in the pages of their notifications, so that they are counted without the
-- archive.
-- $1 from this ms_id, $2 below this one, $3 most pages
WITH page AS MATERIALIZED (
    SELECT notification_id, page FROM t_im_notification_page
    WHERE span && int8range($1::bigint, $2::bigint) AND kept_below < $2
    LIMIT $3::integer
),
kept AS (
    UPDATE t_im_notification_page p
    SET kept_below = $2,
        statuses = ARRAY(
            SELECT CASE WHEN r.ms_id >= $1 AND r.ms_id < $2 THEN coalesce(held.status, 0::smallint) ELSE r.status END
            FROM (SELECT sender FROM t_im_notification WHERE notification_id = p.notification_id) AS n
            CROSS JOIN unnest(p.user_ids, p.ms_ids, p.statuses) WITH ORDINALITY AS r (user_id, ms_id, status, ord)
            LEFT JOIN LATERAL (
                -- In the direct channel of a pair the lower id has slot 0, for good.
                SELECT im_ledger_status(l, (r.user_id > n.sender)::integer)::smallint AS status
                FROM t_im_ledger l WHERE ms_id = r.ms_id AND block = 0 AND ms_id >= $1 AND ms_id < $2 OFFSET 0
            ) AS held ON true
            ORDER BY r.ord)
    FROM page
    WHERE p.notification_id = ANY (ARRAY[page.notification_id]) AND p.page = ANY (ARRAY[page.page])
      -- Another replica may have kept it meanwhile.
      AND p.kept_below < $2
    RETURNING 1
)
SELECT count(*) AS pages FROM kept
