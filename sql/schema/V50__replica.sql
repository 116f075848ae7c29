-- The replicas that serve this database, as each tells of itself every few seconds. A replica that stops removes its row;
-- the row of one that died goes a day later.
CREATE TABLE t_im_replica (
    replica_id uuid PRIMARY KEY,
    version    text NOT NULL,
    -- The name of its machine or pod; empty if it has none.
    host       text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    -- Workers whose last steps failed, each with the number of failures in a row.
    failing    jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
