-- Whether the standby follows its primary, when it started, and whether it has replayed the log up to a position.
-- $1 position
SELECT pg_is_in_recovery() AS follows, pg_postmaster_start_time() AS started,
       coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint >= $1::bigint, false) AS has_replayed
