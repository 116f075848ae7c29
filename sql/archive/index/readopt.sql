-- Replaces the archive of this database, while no day is sealed and no replica uses the old archive. All hot
-- messages must then be indexed again.
-- $1 archive id, $2 now
UPDATE t_im_archive SET archive_id = $1, walk_ms_id = 0
WHERE NOT EXISTS (SELECT FROM t_im_horizon WHERE sealed_ms_id > 0)
  AND NOT EXISTS (SELECT FROM t_im_lease WHERE until > $2)
