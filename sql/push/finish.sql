-- A batch is answered: it is gone, with what it held.
-- $1 batch id
DELETE FROM t_im_push_batch WHERE batch_id = $1
