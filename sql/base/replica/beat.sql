-- Notes that a replica is there, and forgets those that were not seen for a day.
-- $1 replica id, $2 version, $3 host, $4 now, $5 failing workers
WITH forgotten AS (
    DELETE FROM t_im_replica WHERE seen_at < $4::timestamptz - interval '1 day' AND replica_id <> $1
)
INSERT INTO t_im_replica (replica_id, version, host, started_at, seen_at, failing)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT (replica_id) DO UPDATE SET seen_at = EXCLUDED.seen_at, failing = EXCLUDED.failing
