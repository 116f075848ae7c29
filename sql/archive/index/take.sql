-- The oldest rows of the index queue.
-- $1 most rows
SELECT queue_id, ms_ids FROM t_im_index_queue ORDER BY queue_id LIMIT $1::integer
