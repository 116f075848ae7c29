-- What of a day is still under way: nothing moves until its rows are written and pushed.
-- $1 below this ms_id
SELECT (SELECT count(*) FROM t_im_fanout WHERE ms_id < $1) AS fanouts,
       (SELECT count(*) FROM t_im_push_queue WHERE from_ms_id < $1) AS pushes
