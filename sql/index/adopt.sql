-- Makes an archive the one of this database, for good; all that is hot is to be indexed. No row
-- changes once there is one.
-- $1 archive id
INSERT INTO t_im_archive (archive_id, walk_ms_id) VALUES ($1, 0) ON CONFLICT DO NOTHING
