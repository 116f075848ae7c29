-- Deletes an answered batch with its items.
-- $1 batch id
DELETE FROM t_im_push_batch WHERE batch_id = $1
