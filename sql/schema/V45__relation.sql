-- What users are to each other: friends, friend requests, follows and blocks. Relations are pairs: the row of one user says
-- what the other one is, and the row of the other user mirrors it. Both are written in one transaction, under the locks of
-- both users. Either both rows are there or none.

-- Locks tables for a migration, in the order in which sends take them. A transaction that takes long must not make all others
-- queue behind the migration: it waits for half a second, lets them pass, and tries again, for 10 minutes at most.
CREATE FUNCTION im_lock_gently(tables text, mode text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL lock_timeout = '500ms';
    FOR attempt IN 1 .. 400 LOOP
        BEGIN
            EXECUTE format('LOCK TABLE %s IN %s MODE', tables, mode);
            SET LOCAL lock_timeout = 0;
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- What was locked is free again. Those who have waited behind it go first.
            PERFORM pg_sleep(1);
        END;
    END LOOP;
    RAISE EXCEPTION 'a transaction that does not end uses %', tables
        USING ERRCODE = 'lock_not_available', HINT = 'end it, and start the service or `migrate` again';
END $$;

SELECT im_lock_gently('t_im_channel, t_im_channel_user', 'ACCESS EXCLUSIVE');

CREATE TABLE t_im_relation (
    user_id    text COLLATE "C" NOT NULL,
    other_id   text COLLATE "C" NOT NULL,
    -- request_sent: the user has asked; request_received: the other one has. unfriended: the other one has ended the
    -- friendship, and the user finds out with the next message. Until then the user sees a friend.
    friend     text,
    follows    boolean NOT NULL DEFAULT false,
    -- Whether the other one follows the user.
    followed   boolean NOT NULL DEFAULT false,
    blocks     boolean NOT NULL DEFAULT false,
    -- Whether the other one blocks the user. It is never shown.
    blocked    boolean NOT NULL DEFAULT false,
    -- What the other one wrote with the request.
    message    text,
    -- The user's own name for the other one, and tags.
    remark     text,
    tags       text[] NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, other_id),
    CONSTRAINT relation_of_two CHECK (user_id <> other_id),
    CONSTRAINT relation_friend_known CHECK (friend IN ('request_sent', 'request_received', 'friend', 'unfriended')),
    -- A block ends the rest.
    CONSTRAINT relation_block_alone CHECK (NOT (blocks OR blocked) OR friend IS NULL AND NOT follows AND NOT followed)
);
-- What a user has made. Followers can be many more.
CREATE INDEX t_im_relation_own ON t_im_relation (user_id, other_id) WHERE friend IS NOT NULL OR follows OR blocks;

ALTER TABLE t_im_channel_user
    -- In a direct channel, what a send must know of the pair, so that it reads no other row: `blocked` by the other one,
    -- `friend`, or `unfriended` without knowing it. Null: none of these. Relations write it under the channel's lock.
    ADD COLUMN talk text,
    -- Until when the member sends nothing to the group. It is a copy of t_im_silence.
    ADD COLUMN silenced_until timestamptz;
ALTER TABLE t_im_channel_user
    ADD CONSTRAINT member_talk_known CHECK (talk IN ('blocked', 'friend', 'unfriended')) NOT VALID;

ALTER TABLE t_im_channel
    ADD COLUMN description text,
    -- How users join by themselves: not at all, after an admin agrees, with the code of an invite, or at once.
    ADD COLUMN join_rule text NOT NULL DEFAULT 'closed',
    -- Whether every member may add users, or only the owner and admins.
    ADD COLUMN who_adds text NOT NULL DEFAULT 'everybody',
    -- Whether a search finds the group although it is closed.
    ADD COLUMN findable boolean NOT NULL DEFAULT false,
    -- The folded name and description, for the search of groups that may be found.
    ADD COLUMN words text;
ALTER TABLE t_im_channel
    ADD CONSTRAINT channel_join_rule_known CHECK (join_rule IN ('closed', 'request', 'code', 'open')) NOT VALID,
    ADD CONSTRAINT channel_who_adds_known CHECK (who_adds IN ('everybody', 'admins')) NOT VALID;

-- What was said before a direct channel became a group, or while new members saw nothing, stays unseen by new members for
-- good: no statement can lower the floor.
CREATE FUNCTION im_keep_sees_floor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sees_floor_seq < OLD.sees_floor_seq THEN
        RAISE EXCEPTION 'new members must not see messages below %', OLD.sees_floor_seq
            USING ERRCODE = 'check_violation', CONSTRAINT = 'channel_sees_floor_rises';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER channel_sees_floor_rises BEFORE UPDATE OF sees_floor_seq ON t_im_channel
    FOR EACH ROW EXECUTE FUNCTION im_keep_sees_floor();

-- Codes with which users join a group.
CREATE TABLE t_im_invite (
    invite_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id bigint NOT NULL,
    code       text COLLATE "C" NOT NULL UNIQUE,
    -- How many users can still join with it.
    uses_left  integer NOT NULL,
    expires_at timestamptz NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT invite_uses_left CHECK (uses_left >= 0)
);
CREATE INDEX t_im_invite_channel ON t_im_invite (channel_id, invite_id);

-- Users who wait until an admin lets them into a group.
CREATE TABLE t_im_join_request (
    channel_id   bigint NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    message      text,
    requested_at timestamptz NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);

-- Members who send nothing to a group for a while. It holds also for a member who leaves and joins again.
CREATE TABLE t_im_silence (
    channel_id bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    until      timestamptz NOT NULL,
    PRIMARY KEY (channel_id, user_id)
);

-- Whether an event of this type has a possible listener. Streams take relations, too.
CREATE OR REPLACE FUNCTION im_event_wanted(type text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM t_im_callback c
                   WHERE c.kind = 'observer' AND c.state <> 'disabled' AND im_takes(c.event_types, im_event_wanted.type))
        OR split_part(type, '.', 1) IN ('message', 'channel', 'relation')
           AND type NOT IN ('message.received', 'message.unread', 'message.unreceived')
           AND EXISTS (SELECT FROM t_im_event_head WHERE streams_until > im_clock());
END $$;
