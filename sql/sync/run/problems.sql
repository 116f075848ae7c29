-- One page of a run's problems, oldest first.
-- $1 run id, $2 after this problem, $3 limit
SELECT problem_id, kind, external_id, detail FROM t_im_directory_problem
WHERE run_id = $1 AND problem_id > $2
ORDER BY problem_id
LIMIT $3
