-- Deletes queue rows whose messages are in the archive.
-- $1 queue ids
DELETE FROM t_im_index_queue WHERE queue_id = ANY ($1::bigint[])
