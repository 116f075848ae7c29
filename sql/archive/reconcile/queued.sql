-- The messages that wait to be indexed.
SELECT unnest(ms_ids) AS ms_id FROM t_im_index_queue
