-- Locks the key packages of a user against other additions until the transaction ends.
-- $1 user id
SELECT pg_advisory_xact_lock(hashtextextended('key packages of ' || $1, 0))
