-- Key packages of MLS (RFC 9420): what another client needs to add a device of the user to an encrypted group. The service
-- does not read them.
CREATE TABLE t_im_key_package (
    package_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     text COLLATE "C" NOT NULL,
    -- Empty: the user has not named the device.
    device_id   text COLLATE "C" NOT NULL,
    -- The last resort of a device is given out again and again, when no other is left.
    last_resort boolean NOT NULL,
    -- Given out. It stays until it expires, so that a repeat of the call that added it does not add it again.
    taken       boolean NOT NULL DEFAULT false,
    package     bytea NOT NULL,
    expires_at  timestamptz NOT NULL
);

-- A claim takes the oldest of a device.
CREATE INDEX t_im_key_package_device ON t_im_key_package (user_id, device_id, package_id);
-- A device has one last resort.
CREATE UNIQUE INDEX t_im_key_package_last_resort ON t_im_key_package (user_id, device_id) WHERE last_resort;
-- A package that is sent twice is kept once.
CREATE UNIQUE INDEX t_im_key_package_once ON t_im_key_package (user_id, sha256(package)) WHERE NOT last_resort;
-- Housekeeping looks for the expired ones.
CREATE INDEX t_im_key_package_expired ON t_im_key_package (expires_at);

-- How often a user has claimed packages of another one since the start of an hour, so that no user takes all of them.
CREATE TABLE t_im_key_package_claim (
    claimer text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    hour    timestamptz NOT NULL,
    claims  integer NOT NULL,
    PRIMARY KEY (claimer, user_id)
);
-- Housekeeping looks for the hours that have ended.
CREATE INDEX t_im_key_package_claim_hour ON t_im_key_package_claim (hour);

-- The packages of a user who leaves go in the same transaction, in each way that a user can leave.
CREATE FUNCTION im_remove_key_packages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM t_im_key_package WHERE user_id = OLD.user_id;
    RETURN NULL;
END
$$;
-- A transaction that takes long must not make sends queue behind the migration, so it waits for half a second, lets them pass,
-- and tries again.
DO $$
BEGIN
    SET LOCAL lock_timeout = '500ms';
    FOR attempt IN 1 .. 400 LOOP
        BEGIN
            LOCK TABLE t_im_user IN SHARE ROW EXCLUSIVE MODE;
            SET LOCAL lock_timeout = 0;
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- What was locked is free again. Those who have waited behind it go first.
            PERFORM pg_sleep(1);
        END;
    END LOOP;
    RAISE EXCEPTION 'a transaction that does not end uses t_im_user'
        USING ERRCODE = 'lock_not_available', HINT = 'end it, and start the service or `migrate` again';
END $$;

CREATE TRIGGER t_im_user_key_packages AFTER UPDATE OF active ON t_im_user
    FOR EACH ROW WHEN (OLD.active AND NOT NEW.active) EXECUTE FUNCTION im_remove_key_packages();

-- After a restore, also no key package is given out twice.
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
