-- A database restored from a dump, snapshot or backup would give ids again that it gave after the backup, to
-- other events and channels. Portals and streams know the earlier ones. So a restored database skips these
-- ids.

-- The place of this database. A copy has another cluster, timeline, database or table.
CREATE FUNCTION im_database_place() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8),
                     (SELECT oid FROM pg_database WHERE datname = current_database()), pg_relation_filenode('t_im_event_head'))
$$;

-- The last known place, and when the database was last restored.
CREATE TABLE t_im_database (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    place       text NOT NULL,
    restored_at timestamptz
);
INSERT INTO t_im_database (place) VALUES (im_database_place());

-- Skips ids: events, channels and files continue from the microseconds of the clock. No service gives a million ids
-- a second, so no earlier id is given again, however often a dump is restored. JavaScript can represent these
-- numbers. Streams below the skipped ids must load again.
CREATE FUNCTION im_restored() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    beyond bigint := (extract(epoch FROM im_clock()) * 1000000)::bigint;
    channels regclass := pg_get_serial_sequence('t_im_channel', 'channel_id');
    files regclass := pg_get_serial_sequence('t_im_file', 'file_id');
BEGIN
    UPDATE t_im_database SET place = im_database_place(), restored_at = im_clock();
    UPDATE t_im_event_head
    SET last_event_id = greatest(last_event_id + 1, beyond),
        complete_from = greatest(complete_from, last_event_id + 1, beyond);
    PERFORM setval(channels, greatest(nextval(channels), beyond));
    PERFORM setval(files, greatest(nextval(files), beyond));
END $$;

-- Notices that the database has another place than before, or that its log is behind a position seen before.
-- A database without channels and events only records its place.
CREATE FUNCTION im_notice_restored(seen_wal_position bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    went_back boolean := coalesce(pg_current_wal_flush_lsn() - '0/0' < seen_wal_position, false);
BEGIN
    IF NOT went_back AND EXISTS (SELECT FROM t_im_database WHERE place = im_database_place()) THEN
        RETURN false;
    END IF;
    PERFORM FROM t_im_database FOR UPDATE;
    -- Another replica may have noticed first.
    IF NOT went_back AND EXISTS (SELECT FROM t_im_database WHERE place = im_database_place()) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM t_im_channel) OR EXISTS (SELECT FROM t_im_event_head WHERE last_event_id > 0) THEN
        PERFORM im_restored();
        RETURN true;
    END IF;
    UPDATE t_im_database SET place = im_database_place();
    RETURN false;
END $$;
