-- When a run was last begun by schedule, how the last ended one ended, and whether one is open.
SELECT (SELECT begun_at FROM t_im_schedule WHERE name = 'archiver') AS begun_at,
       (SELECT outcome FROM t_im_archive_run WHERE ended_at IS NOT NULL ORDER BY run_id DESC LIMIT 1) AS last_outcome,
       EXISTS (SELECT FROM t_im_archive_run WHERE ended_at IS NULL) AS open,
       (SELECT ms_id FROM t_im_horizon) AS horizon
