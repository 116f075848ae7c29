-- Makes a run a full one, because it cannot go on from a token.
-- $1 run id, $2 why
UPDATE t_im_directory_run SET mode = 'full', detail = $2 WHERE run_id = $1
