-- Locks a batch if its epoch is unchanged: no other worker has taken it over.
-- $1 batch id, $2 epoch
SELECT batch_id FROM t_im_push_batch WHERE batch_id = $1 AND epoch = $2 FOR UPDATE
