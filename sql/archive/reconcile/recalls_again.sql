-- Lets the archive apply recalls again.
-- $1 ms_ids
UPDATE t_im_recall SET archived = false WHERE ms_id = ANY ($1::bigint[])
