-- The standby for a support archive: how it follows the primary, what its replay has cancelled, and the settings that matter.
SELECT jsonb_build_object(
    'version', version(), 'now', now(), 'started_at', pg_postmaster_start_time(), 'in_recovery', pg_is_in_recovery(),
    'received_to', pg_last_wal_receive_lsn(), 'replayed_to', pg_last_wal_replay_lsn(),
    'last_commit_replayed_at', pg_last_xact_replay_timestamp(),
    'replay', CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END,
    'conflicts', (SELECT to_jsonb(c) - 'datid' - 'datname' FROM pg_stat_database_conflicts c WHERE c.datid = d.oid),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE datname = d.datname),
    'settings', (SELECT jsonb_object_agg(name, setting || coalesce(' × ' || unit, '') ORDER BY name)
                 FROM pg_settings
                 WHERE name = ANY (ARRAY[
                     'hot_standby', 'hot_standby_feedback', 'max_connections', 'max_locks_per_transaction',
                     'max_standby_archive_delay', 'max_standby_streaming_delay', 'recovery_min_apply_delay',
                     'recovery_target_timeline', 'server_version_num', 'shared_buffers', 'wal_receiver_status_interval',
                     'wal_retrieve_retry_interval', 'work_mem']))) AS found
FROM pg_database d
WHERE d.datname = current_database()
