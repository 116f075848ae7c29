-- After a restore no id of a call is given again, because a call is a room elsewhere, too, and no key package is given out twice.
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
    -- Those that were given out since the backup are back. Clients publish new ones.
    DELETE FROM t_im_key_package WHERE NOT last_resort;
    FOREACH numbered SLICE 1 IN ARRAY ARRAY[
        ['t_im_channel', 'channel_id'], ['t_im_file', 'file_id'], ['t_im_notification', 'notification_id'],
        ['t_im_robot', 'robot_id'], ['t_im_favourite', 'favourite_id'], ['t_im_directory_edit', 'edit_id'],
        ['t_im_directory_run', 'run_id'], ['t_im_archive_run', 'run_id'], ['t_im_push_dead', 'dead_id'],
        ['t_im_call', 'call_id']] LOOP
        sequence := pg_get_serial_sequence(numbered[1], numbered[2]);
        PERFORM setval(sequence, greatest(nextval(sequence), beyond));
    END LOOP;
END $$;
