-- Whether this connection is the only one that freezes; it is until it says otherwise, or ends.
SELECT pg_try_advisory_lock(hashtext('im_freeze'))
