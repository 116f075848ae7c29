-- Locks the counts of urgent ones until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('im_urgent'))
