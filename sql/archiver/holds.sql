-- What of a day is still under way: nothing moves until it is pushed.
-- $1 below this ms_id
SELECT count(*) AS pushes FROM t_im_push_queue WHERE from_ms_id < $1
