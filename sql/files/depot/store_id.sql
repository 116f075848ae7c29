-- Which store holds the objects of this database.
SELECT store_id FROM t_im_file_store
