-- Notices that the database was restored, so that no id is given twice.
-- $1 the furthest position of the database's log that was seen, or null
SELECT im_notice_restored($1) AS restored, (pg_current_wal_flush_lsn() - '0/0')::bigint AS wal_position
