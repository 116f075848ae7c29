-- Makes an archive the archive of this database. All hot messages must then be indexed. If there is an
-- archive already, nothing changes.
-- $1 archive id
INSERT INTO t_im_archive (archive_id, walk_ms_id) VALUES ($1, 0) ON CONFLICT DO NOTHING
