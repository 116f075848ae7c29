-- Since when the archive alone has what is older, and when the directory was last followed to its end.
-- horizon: null while nothing is cold; directory: null before the first run
SELECT (SELECT im_minted_at(ms_id) FROM t_im_horizon WHERE ms_id > 0) AS horizon,
       (SELECT max(ended_at) FROM t_im_directory_run WHERE state = 'done' AND mode IN ('full', 'incremental')) AS directory
