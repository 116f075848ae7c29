-- The partitions of a day that still exist: the parent table, and whether each is attached, half detached or
-- fully detached.
-- $1 day
SELECT parent.name AS parent, c.relname AS partition, i.inhrelid IS NOT NULL AS attached,
       coalesce(i.inhdetachpending, false) AS pending
FROM (VALUES ('t_im_message'), ('t_im_ledger')) AS parent (name)
JOIN pg_class c ON c.oid = to_regclass(parent.name || to_char($1::date, '"_p"YYYYMMDD'))
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
