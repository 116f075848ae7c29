-- Held by whoever changes the directory, to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('t_im_user'))
