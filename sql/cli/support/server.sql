-- The server for a support archive: its version, its load, and the settings that matter. No text of a statement.
SELECT jsonb_build_object(
    'version', version(), 'now', now(), 'started_at', pg_postmaster_start_time(), 'in_recovery', pg_is_in_recovery(),
    'encoding', pg_encoding_to_char(d.encoding), 'collation', d.datcollate, 'bytes', pg_database_size(d.oid),
    'transaction_id_age', age(d.datfrozenxid),
    'connections', (SELECT jsonb_object_agg(state, many)
                    FROM (SELECT coalesce(state, 'none') AS state, count(*) AS many FROM pg_stat_activity
                          WHERE datname = current_database() GROUP BY 1) AS by_state),
    'waits', (SELECT jsonb_object_agg(wait, many)
              FROM (SELECT concat_ws('/', wait_event_type, wait_event) AS wait, count(*) AS many FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event IS NOT NULL GROUP BY 1) AS by_wait),
    'oldest_transaction_s', (SELECT extract(epoch FROM max(now() - xact_start)) FROM pg_stat_activity
                             WHERE datname = current_database()),
    'locks_waited_for', (SELECT count(*) FROM pg_locks WHERE NOT granted),
    'counts', (SELECT to_jsonb(s) - 'datid' - 'datname' FROM pg_stat_database s WHERE s.datname = current_database()),
    'settings', (SELECT jsonb_object_agg(name, setting || coalesce(' × ' || unit, '') ORDER BY name)
                 FROM pg_settings
                 WHERE name = ANY (ARRAY[
                     'autovacuum', 'autovacuum_max_workers', 'autovacuum_naptime', 'checkpoint_timeout',
                     'default_transaction_isolation', 'default_transaction_read_only', 'effective_cache_size',
                     'effective_io_concurrency', 'fsync', 'full_page_writes', 'hot_standby_feedback',
                     'idle_in_transaction_session_timeout', 'jit', 'lock_timeout', 'maintenance_work_mem',
                     'max_connections', 'max_locks_per_transaction', 'max_prepared_transactions', 'max_wal_size',
                     'max_worker_processes', 'random_page_cost', 'server_version_num', 'shared_buffers', 'ssl',
                     'statement_timeout', 'synchronous_commit', 'TimeZone', 'track_activities', 'track_counts',
                     'transaction_timeout', 'wal_buffers', 'wal_level', 'wal_writer_delay', 'work_mem']))) AS found
FROM pg_database d
WHERE d.datname = current_database()
