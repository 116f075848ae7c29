-- Skips a range of event ids and channel ids after a restore of the database.
SELECT im_restored()
