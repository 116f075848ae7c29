-- The archive of this database, and the position of the walk through its messages.
SELECT archive_id, walk_ms_id FROM t_im_archive
