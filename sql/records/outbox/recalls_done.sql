-- Marks recalls as written into the archive.
-- $1 ms_ids
UPDATE t_im_recall SET archived = true WHERE ms_id = ANY ($1::bigint[])
