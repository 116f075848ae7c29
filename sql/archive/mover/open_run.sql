-- The open archive run. It takes over the days that an earlier run left unfinished.
WITH run AS (
    SELECT run_id FROM t_im_archive_run WHERE ended_at IS NULL
),
taken_over AS (
    UPDATE t_im_archive_day d SET run_id = run.run_id FROM run
    WHERE d.step <> 'dropped' AND d.run_id <> run.run_id
)
SELECT run_id FROM run
