-- The last scheduled start, the outcome of the last run, the start of the open run, and the end of the oldest
-- hot day.
SELECT (SELECT begun_at FROM t_im_schedule WHERE name = 'archiver') AS begun_at,
       (SELECT outcome FROM t_im_archive_run WHERE ended_at IS NOT NULL ORDER BY run_id DESC LIMIT 1) AS last_outcome,
       (SELECT asked_at FROM t_im_archive_run WHERE ended_at IS NULL) AS open_since,
       (SELECT im_minted_at(min(below_ms_id)) FROM v_im_partition WHERE parent = 't_im_message'::regclass) AS oldest_ended_at
