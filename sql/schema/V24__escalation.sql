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
