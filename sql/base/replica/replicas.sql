-- The replicas, the one that has run longest first.
-- $1 limit
SELECT replica_id, version, host, started_at, seen_at, failing FROM t_im_replica ORDER BY started_at, replica_id LIMIT $1
