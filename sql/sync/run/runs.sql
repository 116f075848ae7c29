-- One page of directory runs, newest first.
-- $1 before this run id, $2 limit
SELECT run_id, mode, asked_by, dry_run, asked_at, ended_at, state, detail, approved_by, staged, applied, counts, problems
FROM t_im_directory_run
WHERE run_id < $1
ORDER BY run_id DESC
LIMIT $2
