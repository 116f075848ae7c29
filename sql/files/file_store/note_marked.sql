-- Notes that the store has its id.
-- $1 store id
UPDATE t_im_file_store SET is_marked = true WHERE store_id = $1
