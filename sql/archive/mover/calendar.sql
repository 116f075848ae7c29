-- One page of days, newest first: those whose tables are in PostgreSQL, with their size, and those that move or have moved. The
-- oldest day that has not moved is the one at which a failed run stopped.
-- $1 from this day or null, $2 to this day or null, $3 before this day or null, $4 limit
WITH hot AS MATERIALIZED (
    SELECT day, array_agg(oid) AS tables FROM v_im_partition GROUP BY day
),
last_run AS (
    SELECT outcome, doing FROM t_im_archive_run ORDER BY run_id DESC LIMIT 1
),
page AS MATERIALIZED (
    SELECT day FROM (SELECT day FROM hot UNION SELECT day FROM t_im_archive_day) AS known
    WHERE day <= (im_clock() AT TIME ZONE 'UTC')::date
      AND ($1::date IS NULL OR day >= $1) AND ($2::date IS NULL OR day <= $2) AND ($3::date IS NULL OR day < $3)
    ORDER BY day DESC
    LIMIT $4
)
SELECT p.day, d.step, d.messages, d.ledger_rows, coalesce(d.lost_documents, 0) AS lost_documents,
       coalesce(d.lost_ledger_rows, 0) AS lost_ledger_rows, d.sealed_at, d.switched_at,
       (SELECT sum(pg_total_relation_size(t))::bigint FROM unnest(h.tables) AS t) AS bytes,
       CASE WHEN d.day = (SELECT min(day) FROM t_im_archive_day WHERE step NOT IN ('switched', 'dropped'))
            THEN (SELECT coalesce(doing, '') FROM last_run WHERE outcome = 'failed') END AS failed
FROM page p
LEFT JOIN hot h USING (day)
LEFT JOIN t_im_archive_day d USING (day)
ORDER BY p.day DESC
