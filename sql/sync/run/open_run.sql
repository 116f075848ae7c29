-- The next run to work on: the oldest that does not wait for an approval.
SELECT run_id, mode, dry_run, state, asked_at, token, staged, applied, counts
FROM t_im_directory_run
WHERE ended_at IS NULL AND state <> 'held'
ORDER BY run_id
LIMIT 1
