-- The service's tables with their sizes and estimated rows, for a support archive. Partitions are in a file of their own.
SELECT coalesce(jsonb_agg(jsonb_build_object(
           'table', c.relname, 'rows_estimated', c.reltuples::bigint, 'bytes', pg_total_relation_size(c.oid),
           'dead_rows', s.n_dead_tup, 'seq_scans', s.seq_scan,
           'vacuumed_at', greatest(s.last_vacuum, s.last_autovacuum),
           'analyzed_at', greatest(s.last_analyze, s.last_autoanalyze)) ORDER BY c.relname), '[]') AS found
FROM pg_class c
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 't_im_channel'::regclass)
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname::text ^@ 't_im_'
