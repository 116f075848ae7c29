-- Takes one lock for the session and one for the transaction, and gives their key. The key is random, so that replicas
-- that start at the same time do not wait for each other.
SELECT key, pg_advisory_lock(key), pg_advisory_xact_lock(key + 1)
FROM (SELECT (random() * 1e15)::bigint AS key OFFSET 0) AS chosen
