-- Locks the directory for a change until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('t_im_user'))
