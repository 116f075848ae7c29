-- The oldest partition that is to be frozen: its time is over, and nobody has vacuumed it by hand since.
-- Days on their way into the archive are soon dropped. (The server forgets when it vacuumed if it
-- crashes; then once more costs little, because pages that are all frozen are passed over.)
-- $1 partitions that ended by then
SELECT partition
FROM v_im_partition p
CROSS JOIN LATERAL (SELECT im_minted_at(below_ms_id) AS ended) AS bounds
WHERE NOT pending AND ended <= $1::timestamptz
  AND coalesce(pg_stat_get_last_vacuum_time(oid) < ended, true)
  AND NOT EXISTS (SELECT FROM t_im_archive_day d WHERE d.day = p.day)
ORDER BY from_ms_id, partition
LIMIT 1
