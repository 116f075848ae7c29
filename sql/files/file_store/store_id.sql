-- Which store holds the objects of this database, and whether the store has its id.
SELECT store_id, is_marked FROM t_im_file_store
