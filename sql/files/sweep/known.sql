-- The objects with ids in a range, and whether each is part of a file.
-- $1 first id, $2 last id
SELECT object_id, drop_after IS NULL AS kept FROM t_im_file_object WHERE object_id BETWEEN $1 AND $2
