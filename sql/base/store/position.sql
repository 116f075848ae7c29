-- How far the write-ahead log of the primary goes, which log it is, and when the server started. A standby that has
-- replayed up to there has every change that is visible now. Right after the head of a page there is no record: the last
-- one ends before the head (24 bytes, and 40 in the first page of a file). Nulls: the server is a standby itself.
SELECT CASE WHEN wal % segment = 40 OR wal % page = 24 THEN wal - wal % page ELSE wal END AS wal,
       CASE WHEN NOT follows THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline,
       pg_postmaster_start_time() AS started
FROM (SELECT follows, CASE WHEN NOT follows THEN (pg_current_wal_insert_lsn() - '0/0')::bigint END AS wal,
             current_setting('wal_block_size')::bigint AS page, pg_size_bytes(current_setting('wal_segment_size')) AS segment
      FROM (SELECT pg_is_in_recovery() AS follows OFFSET 0) AS server
      OFFSET 0) AS log
