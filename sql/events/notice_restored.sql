-- Detects a restore of the database, so that no id is assigned twice.
-- $1 the highest WAL position seen, or null
SELECT im_notice_restored($1) AS restored, (pg_current_wal_flush_lsn() - '0/0')::bigint AS wal_position
