-- The archive this database belongs to, and what of the walk through its messages is left.
SELECT archive_id, walk_ms_id FROM t_im_archive
