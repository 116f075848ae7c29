-- Drops a partition of a cold day as the owner of the tables.
-- $1 partition
SELECT im_drop_partition($1)
