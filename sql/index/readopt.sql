-- Makes another archive the one of this database, while nothing is cold: all that is hot is to be
-- indexed.
-- $1 archive id
UPDATE t_im_archive SET archive_id = $1, walk_ms_id = 0
WHERE NOT EXISTS (SELECT FROM t_im_horizon WHERE sealed_ms_id > 0)
