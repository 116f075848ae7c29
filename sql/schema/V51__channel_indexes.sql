-- Indexes of channels. While they are built, sends wait: the table is read once. A transaction that takes long must not make
-- sends queue behind the migration, so it waits for half a second, lets them pass, and tries again.
DO $$
BEGIN
    SET LOCAL lock_timeout = '500ms';
    FOR attempt IN 1 .. 400 LOOP
        BEGIN
            LOCK TABLE t_im_channel IN SHARE MODE;
            SET LOCAL lock_timeout = 0;
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- What was locked is free again. Those who have waited behind it go first.
            PERFORM pg_sleep(1);
        END;
    END LOOP;
    RAISE EXCEPTION 'a transaction that does not end uses t_im_channel'
        USING ERRCODE = 'lock_not_available', HINT = 'end it, and start the service or `migrate` again';
END $$;

-- The groups that a search reads, newest first.
CREATE INDEX t_im_channel_findable ON t_im_channel (channel_id)
    WHERE (findable OR join_rule <> 'closed') AND dissolved_at IS NULL;

-- Groups by owner: those without one, and those whose owner has left. Messages change none of these columns, so updates of
-- a channel stay HOT.
CREATE INDEX t_im_channel_owner ON t_im_channel (owner, channel_id) WHERE channel_type = 'group' AND dissolved_at IS NULL;
