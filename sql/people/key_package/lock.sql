-- Locks the key packages of a user against other additions until the transaction ends.
-- $1 user id
SELECT pg_advisory_xact_lock(hashtextextended('im-key-packages:' || $1::text, 0))
