-- A batch is answered: it and its queue rows are gone.
-- $1 batch id
WITH done AS (
    DELETE FROM t_im_push_queue WHERE batch_id = $1
)
DELETE FROM t_im_push_batch WHERE batch_id = $1
