-- Makes another archive the one of this database, while nothing is sealed and no replica works on the
-- one before: all that is hot is to be indexed.
-- $1 archive id, $2 now
UPDATE t_im_archive SET archive_id = $1, walk_ms_id = 0
WHERE NOT EXISTS (SELECT FROM t_im_horizon WHERE sealed_ms_id > 0)
  AND NOT EXISTS (SELECT FROM t_im_lease WHERE until > $2)
