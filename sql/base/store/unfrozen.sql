-- The oldest partition to freeze: its time is over, and no manual vacuum has run since. Days that are moving
-- into the archive are left out: they are dropped soon. So are those that the role does not own: VACUUM would skip
-- them. A crash makes the server forget its last vacuum. One
-- more vacuum then costs little, because frozen pages are skipped.
-- $1 partitions that ended by then
SELECT partition
FROM v_im_partition p
CROSS JOIN LATERAL (SELECT im_minted_at(below_ms_id) AS ended) AS bounds
WHERE NOT pending AND ended <= $1::timestamptz
  AND coalesce(pg_stat_get_last_vacuum_time(oid) < ended, true)
  AND NOT EXISTS (SELECT FROM t_im_archive_day d WHERE d.day = p.day)
  AND pg_has_role((SELECT relowner FROM pg_class WHERE pg_class.oid = p.oid), 'USAGE')
ORDER BY from_ms_id, partition
LIMIT 1
