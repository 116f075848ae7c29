-- Forgets objects that are removed from the store.
-- $1 object ids, $2 now
DELETE FROM t_im_file_object WHERE object_id = ANY ($1::uuid[]) AND drop_after <= $2
