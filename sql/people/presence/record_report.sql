-- Records a sign of life of an instance. Locks the instance until the transaction ends, so that its reports
-- are applied one by one. A snapshot begins a generation, unless it continues the one with the same id. Its
-- last part releases the users of earlier generations.
-- $1 gateway, $2 now, $3 whether it is a snapshot, $4 its id, $5 whether it ends here
INSERT INTO t_im_presence_gateway AS g (gateway, heard_at, generation, snapshot_id, complete)
VALUES ($1, $2, 1, $4, $5)
ON CONFLICT (gateway) DO UPDATE
SET (heard_at, generation, snapshot_id, kept_from, sweep_since, complete) = (
    SELECT $2::timestamptz, next.generation, CASE WHEN $3::boolean THEN $4::text ELSE g.snapshot_id END,
           CASE WHEN $5::boolean THEN next.generation ELSE g.kept_from END,
           CASE WHEN $5 THEN $2 ELSE g.sweep_since END, g.complete OR $5
    FROM (SELECT CASE WHEN $3 AND ($4 IS NULL OR g.snapshot_id IS DISTINCT FROM $4) THEN g.generation + 1
                      ELSE g.generation END AS generation) AS next)
RETURNING generation, complete
