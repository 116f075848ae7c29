-- The oldest partition that is to be frozen: its day is over, and nobody has vacuumed it by hand since.
-- Days on their way into the archive are soon dropped. (The server forgets when it vacuumed if it
-- crashes; then once more costs little, because pages that are all frozen are passed over.)
-- $1 days that ended by then
SELECT partition
FROM (
    SELECT c.oid, c.relname AS partition, im_partition_day(c.relname) AS day
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('t_im_message'::regclass, 't_im_ledger'::regclass)
      AND NOT i.inhdetachpending
) AS attached
CROSS JOIN LATERAL (SELECT (day + 1)::timestamp AT TIME ZONE 'UTC' AS ended) AS bounds
WHERE ended <= $1::timestamptz
  AND coalesce(pg_stat_get_last_vacuum_time(oid) < ended, true)
  AND NOT EXISTS (SELECT FROM t_im_archive_day d WHERE d.day = attached.day)
ORDER BY day, partition
LIMIT 1
