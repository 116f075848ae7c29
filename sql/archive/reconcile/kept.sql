-- Cold days whose tables are both still attached.
SELECT d.day FROM t_im_archive_day d
WHERE d.step = 'switched'
  AND 2 = (SELECT count(*) FROM v_im_partition p WHERE p.day = d.day AND NOT p.pending)
ORDER BY d.day
