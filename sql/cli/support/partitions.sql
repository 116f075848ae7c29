-- The partitions of messages and of the ledger with their sizes and estimated rows, for a support archive.
SELECT coalesce(jsonb_agg(jsonb_build_object(
           'partition', p.partition, 'day', p.day, 'from_ms_id', p.from_ms_id, 'below_ms_id', p.below_ms_id,
           'half_detached', p.pending, 'rows_estimated', c.reltuples::bigint, 'bytes', pg_total_relation_size(c.oid),
           'vacuumed_at', greatest(s.last_vacuum, s.last_autovacuum)) ORDER BY p.partition), '[]') AS found
FROM v_im_partition p
JOIN pg_class c ON c.oid = p.oid
LEFT JOIN pg_stat_user_tables s ON s.relid = p.oid
