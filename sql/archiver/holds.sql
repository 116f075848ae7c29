-- What of a day is still under way: nothing moves until it is pushed.
-- $1 below this ms_id
SELECT (SELECT count(*) FROM t_im_push_queue WHERE from_ms_id < $1)
     + (SELECT count(*) FROM t_im_push_commit WHERE from_ms_id < $1)
     + (SELECT count(*) FROM t_im_push_batch WHERE from_ms_id < $1) AS pushes
