-- Others may freeze again.
SELECT pg_advisory_unlock(hashtext('im_freeze'))
