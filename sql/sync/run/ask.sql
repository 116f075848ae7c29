-- Asks for a run. A waiting run of the same kind is reused.
-- $1 mode, $2 asked by, $3 dry run, $4 now
WITH waiting AS (
    SELECT run_id FROM t_im_directory_run
    WHERE ended_at IS NULL AND mode = $1 AND dry_run = $3 AND NOT begun
    LIMIT 1
),
asked AS (
    INSERT INTO t_im_directory_run (mode, asked_by, dry_run, asked_at)
    SELECT $1, $2, $3, $4::timestamptz WHERE NOT EXISTS (SELECT FROM waiting)
    RETURNING run_id
)
SELECT run_id FROM waiting UNION ALL SELECT run_id FROM asked
