-- Ends older runs that wait for an approval: the directory has changed since.
-- $1 before this run, $2 now
UPDATE t_im_directory_run SET state = 'superseded', ended_at = $2::timestamptz
WHERE run_id < $1 AND state = 'held'
