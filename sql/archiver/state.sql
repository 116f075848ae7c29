-- When a run was last begun by schedule, how the last ended one ended, since when one is open, and the
-- oldest day that has not moved.
SELECT (SELECT begun_at FROM t_im_schedule WHERE name = 'archiver') AS begun_at,
       (SELECT outcome FROM t_im_archive_run WHERE ended_at IS NOT NULL ORDER BY run_id DESC LIMIT 1) AS last_outcome,
       (SELECT asked_at FROM t_im_archive_run WHERE ended_at IS NULL) AS open_since,
       (SELECT min(im_partition_day(c.relname))
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 't_im_message'::regclass) AS oldest_day
