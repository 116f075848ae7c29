-- Rows whose messages the archive has.
-- $1 queue ids
DELETE FROM t_im_index_queue WHERE queue_id = ANY ($1::bigint[])
