-- Counts the changed records that no run has taken on.
SELECT count(*) AS named FROM t_im_directory_changed WHERE run_id IS NULL
