-- Encrypted channels: clients encrypt with MLS (RFC 9420), and the service keeps their messages in order without reading them.

-- A transaction that takes long must not make sends queue behind the migration, so it waits for half a second, lets them pass,
-- and tries again.
DO $$
BEGIN
    SET LOCAL lock_timeout = '500ms';
    FOR attempt IN 1 .. 400 LOOP
        BEGIN
            LOCK TABLE t_im_channel, t_im_message IN ACCESS EXCLUSIVE MODE;
            SET LOCAL lock_timeout = 0;
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- What was locked is free again. Those who have waited behind it go first.
            PERFORM pg_sleep(1);
        END;
    END LOOP;
    RAISE EXCEPTION 'a transaction that does not end uses t_im_channel or t_im_message'
        USING ERRCODE = 'lock_not_available', HINT = 'end it, and start the service or `migrate` again';
END $$;

-- The epoch of an encrypted channel: how many commits it has. NULL: the channel is not encrypted. It is set when the channel is
-- made, and no channel changes from one to the other. A plain channel has no value, so its row has no more bytes than before.
ALTER TABLE t_im_channel ADD COLUMN mls_epoch bigint;
-- During an upgrade a replica of the version before does not know encrypted channels. A plain message that it takes for one
-- fails here, and is not stored.
ALTER TABLE t_im_channel
    ADD CONSTRAINT channel_encrypted_takes_no_other CHECK (mls_epoch IS NULL OR last_type IN ('mls', 'call')) NOT VALID;

-- All rows that are there have one of the types of before, so nothing is read.
ALTER TABLE t_im_message
    DROP CONSTRAINT message_type_known,
    ADD CONSTRAINT message_type_known
        CHECK (ms_type IN ('text', 'picture', 'file', 'voice', 'video', 'location', 'markdown', 'link', 'card',
                           'forward', 'call', 'mls')) NOT VALID;
