-- Whether another session that holds the locks of a key keeps this one out, as the seal of a day must.
-- $1 key
SELECT NOT pg_try_advisory_lock($1) AND NOT pg_try_advisory_xact_lock_shared($1 + 1)
