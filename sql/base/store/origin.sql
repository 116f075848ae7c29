-- Which log the primary writes, how much of it is on its disk, and the mark in its data that only its standbys have: it is
-- written anew after each promotion and restore. Not settled: the mark is about to be written. Nulls: the server is a
-- standby itself.
SELECT CASE WHEN NOT follows THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline,
       pg_postmaster_start_time() AS started,
       CASE WHEN NOT follows THEN (pg_current_wal_flush_lsn() - '0/0')::bigint END AS flushed,
       CASE WHEN NOT follows THEN place = im_database_place() END AS is_settled,
       place, restored_at
FROM (SELECT pg_is_in_recovery() AS follows OFFSET 0) AS server
CROSS JOIN t_im_database
