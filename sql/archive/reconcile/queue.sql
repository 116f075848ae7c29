-- Queues messages to be indexed again.
-- $1 ms_ids, $2 now
INSERT INTO t_im_index_queue (ms_ids, queued_at) VALUES ($1, $2)
