-- An index of members. While it is built, changes of members and of their read cursors wait: the table is read once. A
-- transaction that takes long must not make them queue behind the migration, so it waits for half a second, lets them pass, and
-- tries again.
DO $$
BEGIN
    SET LOCAL lock_timeout = '500ms';
    FOR attempt IN 1 .. 400 LOOP
        BEGIN
            LOCK TABLE t_im_channel_user IN SHARE MODE;
            SET LOCAL lock_timeout = 0;
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- What was locked is free again. Those who have waited behind it go first.
            PERFORM pg_sleep(1);
        END;
    END LOOP;
    RAISE EXCEPTION 'a transaction that does not end uses t_im_channel_user'
        USING ERRCODE = 'lock_not_available', HINT = 'end it, and start the service or `migrate` again';
END $$;

-- The owner and admins of a group, who are told of requests to join.
CREATE INDEX t_im_channel_user_managers ON t_im_channel_user (channel_id, user_id) WHERE role <> 'member' AND to_seq IS NULL;
