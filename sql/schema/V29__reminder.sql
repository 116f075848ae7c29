-- Reminders of messages that did not reach users. Rows are written only while an observer takes message.unreceived.

-- Receivers in a block of the ledger with a first verdict of offline or rejected. A push writes a row a block, and a
-- background pass distributes it among the users.
CREATE TABLE t_im_unreached (
    unreached_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ms_id        bigint NOT NULL,
    channel_id   bigint NOT NULL,
    seq          bigint NOT NULL,
    block        integer NOT NULL,
    -- The receivers, by position in the block.
    places       bit varying NOT NULL,
    -- The time of the verdicts.
    at           timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The users who are to be named to observers, or were named within their `every_s`.
CREATE TABLE t_im_reminder (
    user_id     text COLLATE "C" PRIMARY KEY,
    -- Null: nothing waits.
    due_at      timestamptz,
    -- When due_at was set.
    set_at      timestamptz NOT NULL,
    -- The first verdict since the last reminder.
    since       timestamptz NOT NULL,
    -- The last reminder of a user with `every_s`.
    reminded_at timestamptz
);
CREATE INDEX t_im_reminder_due ON t_im_reminder (due_at) WHERE due_at IS NOT NULL;
-- Finds reminders that were set before the clock stepped back.
CREATE INDEX t_im_reminder_set ON t_im_reminder (set_at) WHERE due_at IS NOT NULL;
-- Finds reminders whose `every_s` is over.
CREATE INDEX t_im_reminder_over ON t_im_reminder (reminded_at) WHERE due_at IS NULL;

-- The channels in which messages did not reach a user since the last reminder: a range of messages, not a row each.
CREATE TABLE t_im_reminder_channel (
    user_id    text COLLATE "C" NOT NULL,
    channel_id bigint NOT NULL,
    -- The user's slot in the channel.
    slot       integer NOT NULL,
    from_seq   bigint NOT NULL,
    to_seq     bigint NOT NULL,
    from_ms_id bigint NOT NULL,
    -- The first verdict. Earlier verdicts in the range were told of before.
    since      timestamptz NOT NULL,
    PRIMARY KEY (user_id, channel_id)
) WITH (fillfactor = 70);
-- Finds whether a day has messages of which observers are still to be told. It does not move into the archive before.
CREATE INDEX t_im_reminder_channel_message ON t_im_reminder_channel (from_ms_id);
