-- The database was restored: events and channels go on from ids that were never given.
SELECT im_restored()
