-- Batches of a callback are made one at a time.
-- $1 callback id
SELECT callback_id FROM t_im_callback WHERE callback_id = $1 FOR UPDATE
