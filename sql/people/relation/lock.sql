-- Locks the relations of two users until the transaction ends, the lower id first.
-- $1 lower user id, $2 higher user id
SELECT pg_advisory_xact_lock(hashtextextended('im-relation:' || $1::text, 0)),
       pg_advisory_xact_lock(hashtextextended('im-relation:' || $2::text, 0))
