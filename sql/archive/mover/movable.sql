-- Days that are older than the age and still hot, oldest first. A partition made without an archive can hold
-- several days; it moves as a whole.
-- $1 now less the age
SELECT day, from_ms_id, below_ms_id
FROM v_im_partition p
WHERE parent = 't_im_message'::regclass AND below_ms_id <= im_first_ms_id($1::timestamptz)
  AND NOT EXISTS (SELECT FROM t_im_archive_day d WHERE d.day = p.day)
ORDER BY day
