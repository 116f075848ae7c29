-- The run that waits for an approval, and since when it was asked for.
SELECT run_id, asked_at FROM t_im_directory_run
WHERE ended_at IS NULL AND state = 'held'
ORDER BY run_id DESC
LIMIT 1
