-- When a run was last begun by schedule, how the last ended one ended, since when one is open, and when the
-- oldest day that has not moved was over.
SELECT (SELECT begun_at FROM t_im_schedule WHERE name = 'archiver') AS begun_at,
       (SELECT outcome FROM t_im_archive_run WHERE ended_at IS NOT NULL ORDER BY run_id DESC LIMIT 1) AS last_outcome,
       (SELECT asked_at FROM t_im_archive_run WHERE ended_at IS NULL) AS open_since,
       (SELECT im_minted_at(min(below_ms_id)) FROM v_im_partition WHERE parent = 't_im_message'::regclass) AS oldest_ended_at
