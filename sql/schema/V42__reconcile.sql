-- Skips ids: events and all that callers know by a number continue from the microseconds of the clock. No service gives a
-- million ids a second, so no earlier id is given again, however often a dump is restored. JavaScript can represent these
-- numbers. Streams below the skipped ids must load again. Ids of messages begin with the time, ids of batches are UUIDs.
CREATE OR REPLACE FUNCTION im_restored() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    beyond bigint := (extract(epoch FROM im_clock()) * 1000000)::bigint;
    numbered text[];
    sequence regclass;
BEGIN
    UPDATE t_im_database SET place = im_database_place(), restored_at = im_clock();
    UPDATE t_im_event_head
    SET last_event_id = greatest(last_event_id + 1, beyond),
        complete_from = greatest(complete_from, last_event_id + 1, beyond);
    FOREACH numbered SLICE 1 IN ARRAY ARRAY[
        ['t_im_channel', 'channel_id'], ['t_im_file', 'file_id'], ['t_im_notification', 'notification_id'],
        ['t_im_robot', 'robot_id'], ['t_im_favourite', 'favourite_id'], ['t_im_directory_edit', 'edit_id'],
        ['t_im_directory_run', 'run_id'], ['t_im_archive_run', 'run_id'], ['t_im_push_dead', 'dead_id']] LOOP
        sequence := pg_get_serial_sequence(numbered[1], numbered[2]);
        PERFORM setval(sequence, greatest(nextval(sequence), beyond));
    END LOOP;
END $$;

-- An archive that was restored to another time than the database.
ALTER TABLE t_im_archive
    -- Added to the version of every document. After a restore the archive can have documents of a later time, with
    -- higher versions; new ones must be above them.
    ADD COLUMN version_base bigint NOT NULL DEFAULT 0;
ALTER TABLE t_im_archive_day
    -- What the archive has lost since the move, because an older copy of it was restored.
    ADD COLUMN lost_documents bigint NOT NULL DEFAULT 0,
    ADD COLUMN lost_ledger_rows bigint NOT NULL DEFAULT 0;
-- Every search asks for these days. Nearly always there are none.
CREATE INDEX t_im_archive_day_lost ON t_im_archive_day (day) WHERE lost_documents > 0 OR lost_ledger_rows > 0;
