-- Locks the files of a user against other new files of the user, so that a quota holds.
-- $1 user id
SELECT pg_advisory_xact_lock(hashtextextended('im-file-owner:' || $1, 0))
