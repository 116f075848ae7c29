-- Whether this connection is the only one that freezes; it is until it ends.
SELECT pg_try_advisory_lock(hashtext('im_freeze'))
