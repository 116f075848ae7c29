-- Days that are wholly over the age and still here, oldest first.
-- $1 now less the age
SELECT day, from_ms_id, below_ms_id
FROM (
    SELECT im_partition_day(c.relname) AS day FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 't_im_message'::regclass
) AS partition
CROSS JOIN LATERAL (
    SELECT im_first_ms_id(day::timestamp AT TIME ZONE 'UTC') AS from_ms_id,
           im_first_ms_id((day + 1)::timestamp AT TIME ZONE 'UTC') AS below_ms_id) AS bounds
WHERE below_ms_id <= im_first_ms_id($1::timestamptz)
  AND NOT EXISTS (SELECT FROM t_im_archive_day d WHERE d.day = partition.day)
ORDER BY day
