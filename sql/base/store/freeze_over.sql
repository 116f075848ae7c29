-- Releases the lock for freezing.
SELECT pg_advisory_unlock(hashtext('im_freeze'))
