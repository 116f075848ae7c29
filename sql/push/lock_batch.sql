-- Whether a batch is still its owner's.
-- $1 batch id, $2 epoch
SELECT batch_id FROM t_im_push_batch WHERE batch_id = $1 AND epoch = $2 FOR UPDATE
