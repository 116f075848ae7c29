-- Reaching users: their notification settings, the escalation of unread messages, reminders of offline users.

-- The notification settings of a user. Only users who have set some have a row.
CREATE TABLE t_im_preference (
    user_id          text COLLATE "C" PRIMARY KEY,
    -- Quiet hours: [{"from": "22:00", "to": "07:00", "days": ["mon"], "time_zone": "Europe/Berlin"}, …].
    quiet            jsonb NOT NULL,
    -- The shortest time between two audible pushes, and between two reminders. 0: none.
    every_s          integer NOT NULL,
    -- Names of ways, for portals. The service does not interpret them. Empty: no wish.
    ways             text[] NOT NULL,
    offline_reminder boolean NOT NULL,
    offline_priority text NOT NULL,
    revision         bigint NOT NULL,
    updated_at       timestamptz NOT NULL,
    CONSTRAINT preference_every_positive CHECK (every_s >= 0),
    CONSTRAINT preference_priority_known CHECK (offline_priority IN ('normal', 'urgent'))
);
-- Each replica keeps the settings in memory, and reads what has changed since. So a push costs the same, however many
-- users have settings.
CREATE UNIQUE INDEX t_im_preference_revision ON t_im_preference (revision);

-- The last revision. The row is locked by each change, so revisions become visible in order.
CREATE TABLE t_im_preference_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO t_im_preference_head DEFAULT VALUES;

-- The settings of a member for a channel. A member who leaves and comes back has them again.
CREATE TABLE t_im_channel_preference (
    user_id    text COLLATE "C" NOT NULL,
    channel_id bigint NOT NULL,
    -- The member's slot in the channel, which never changes.
    slot       integer NOT NULL,
    muted      boolean NOT NULL,
    -- Null: muted without an end.
    mute_until timestamptz,
    pinned     boolean NOT NULL,
    remark     text,
    -- When the conversation moved in the list, because `pinned` changed.
    moved_at   timestamptz NOT NULL,
    PRIMARY KEY (user_id, channel_id),
    CONSTRAINT channel_preference_end_of_muted CHECK (muted OR mute_until IS NULL)
);
-- The members who have muted a channel, by slot, as a push reads them.
CREATE INDEX t_im_channel_preference_muted ON t_im_channel_preference (channel_id, slot) WHERE muted;

-- When a user with `every_s` last had an audible push. In a table of its own, because it changes with pushes. It is in
-- no index, so that updates stay HOT.
CREATE TABLE t_im_alerted (
    user_id    text COLLATE "C" PRIMARY KEY,
    alerted_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The steps of messages that wait until it is time to remind the receivers who have not read. A step is done in pages:
-- one block of the ledger in a transaction. A step that is done is deleted.
CREATE TABLE t_im_escalation (
    escalation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ms_id         bigint NOT NULL,
    channel_id    bigint NOT NULL,
    seq           bigint NOT NULL,
    -- urgent: the receivers get one more push, marked urgent. event: observers of message.unread are told of them.
    kind          text NOT NULL,
    -- The seconds since the message; 0: a nudge.
    after_s       integer NOT NULL,
    due_at        timestamptz NOT NULL,
    -- When due_at was set.
    set_at        timestamptz NOT NULL,
    -- The last block that is done.
    done_block    integer NOT NULL DEFAULT -1,
    CONSTRAINT escalation_kind_known CHECK (kind IN ('urgent', 'event')),
    CONSTRAINT escalation_after_positive CHECK (after_s >= 0)
) WITH (fillfactor = 50);
CREATE INDEX t_im_escalation_due ON t_im_escalation (due_at);
-- Finds steps that were set before the clock stepped back.
CREATE INDEX t_im_escalation_set ON t_im_escalation (set_at);
-- Finds whether a day still has steps. It does not move into the archive before they are done.
CREATE INDEX t_im_escalation_message ON t_im_escalation (ms_id);

-- When a message was last nudged by its sender.
CREATE TABLE t_im_nudge (
    ms_id     bigint PRIMARY KEY,
    nudged_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The urgent messages of receivers. A row is open until the receiver has read the message. It is deleted before the
-- receiver's open rows are counted next, or when the message is cold.
CREATE TABLE t_im_urgent (
    ms_id      bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    channel_id bigint NOT NULL,
    seq        bigint NOT NULL,
    -- The receiver had too many open ones, so that the message is not urgent for them. There can be any number of these
    -- rows, so they are only looked up by key.
    is_over    boolean NOT NULL,
    PRIMARY KEY (ms_id, user_id)
);
-- The rows that count, at most `urgent_max` for a receiver.
CREATE INDEX t_im_urgent_open ON t_im_urgent (user_id, channel_id, seq) WHERE NOT is_over;

-- The number of unread messages of each member: the messages after the read cursor, without the member's own and
-- without recalled ones of others. Each table is looked up by key, whatever the statistics say. A statement bounds it by
-- user_id, or by user_id and channel_id.
CREATE VIEW v_im_unread AS
SELECT m.user_id, m.channel_id, m.joined_at, m.read_seq, m.read_ms_id, c.last_seq, c.last_ms_id, c.last_server_time,
       (c.last_seq - m.read_seq) - (coalesce(s.sent_count, 0) - m.read_sent_count)
       - CASE WHEN c.last_recalled_seq <= m.read_seq THEN 0
              ELSE (SELECT count(*) FROM t_im_recall r
                    WHERE r.channel_id = m.channel_id AND r.seq > m.read_seq AND r.sender <> m.user_id)
         END AS unread_count
FROM t_im_channel_user m
CROSS JOIN LATERAL (
    SELECT last_seq, last_ms_id, last_server_time, last_recalled_seq FROM t_im_channel
    WHERE channel_id = m.channel_id OFFSET 0
) AS c
LEFT JOIN LATERAL (
    SELECT sent_count FROM t_im_channel_sender
    WHERE channel_id = m.channel_id AND user_id = m.user_id OFFSET 0
) AS s ON true
WHERE m.to_seq IS NULL;
