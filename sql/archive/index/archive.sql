-- The archive of this database, the position of the walk through its messages, and what is added to versions.
SELECT archive_id, walk_ms_id, version_base FROM t_im_archive
