-- Takes the lock for freezing. The connection holds it until it releases it or ends.
SELECT pg_try_advisory_lock(hashtext('im_freeze'))
