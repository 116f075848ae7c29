-- A run whose token is too old asks for everybody.
-- $1 run id
UPDATE t_im_directory_run SET mode = 'full', detail = 'the token had expired' WHERE run_id = $1
