-- The archive has taken in these recalls.
-- $1 ms_ids
UPDATE t_im_recall SET archived = true WHERE ms_id = ANY ($1::bigint[])
