-- A conversation. The row is the channel's lock: whoever orders messages or members in
-- a channel holds it FOR NO KEY UPDATE. The last message is kept here, so that a
-- conversation list costs the number of channels, never of messages.
CREATE TABLE t_im_channel (
    channel_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_type     text NOT NULL,
    channel_name     text,
    picture          text,
    announcement     text,
    creator          text COLLATE "C" NOT NULL,
    owner            text COLLATE "C",
    create_time      timestamptz NOT NULL,
    -- What a newcomer sees of earlier messages: nothing, or all of them.
    newcomers_see    text NOT NULL DEFAULT 'nothing',
    -- The first message that a newcomer may ever see. What was said before it was said under the promise
    -- that newcomers see nothing: in a direct channel, or while the group was set so.
    sees_floor_seq   bigint NOT NULL DEFAULT 1,
    dissolved_at     timestamptz,
    -- The two people of a direct channel, lower id first; cleared by the upgrade to a group.
    pair_low         text COLLATE "C",
    pair_high        text COLLATE "C",
    member_count     integer NOT NULL DEFAULT 0,
    last_seq         bigint NOT NULL DEFAULT 0,
    last_ms_id       bigint NOT NULL DEFAULT 0,
    last_server_time timestamptz,
    last_sender      text COLLATE "C",
    last_type        text,
    last_preview     jsonb,
    CONSTRAINT channel_type_known CHECK (channel_type IN ('direct', 'group')),
    CONSTRAINT channel_newcomers_see_known CHECK (newcomers_see IN ('nothing', 'everything')),
    CONSTRAINT channel_pair_of_direct CHECK (
        (channel_type = 'direct') = (pair_low IS NOT NULL AND pair_high IS NOT NULL)
        AND (pair_low < pair_high) IS NOT FALSE)
) WITH (fillfactor = 50);
-- One direct channel a pair, also when both create it at once.
CREATE UNIQUE INDEX t_im_channel_pair ON t_im_channel (pair_low, pair_high) WHERE pair_low IS NOT NULL;

-- Membership as intervals of seq, never overwritten: a receiver of seq n is whoever's
-- interval holds n. Someone who leaves and comes back has two. from_ms_id is the last
-- ms_id before the interval, so that a query by seq can bound its partitions.
CREATE TABLE t_im_channel_user (
    channel_id      bigint NOT NULL,
    user_id         text COLLATE "C" NOT NULL,
    from_seq        bigint NOT NULL,
    from_ms_id      bigint NOT NULL,
    to_seq          bigint,
    -- The first message the member may see: from_seq, or the channel's sees_floor_seq while a member if
    -- newcomers saw everything on joining.
    sees_from_seq   bigint NOT NULL,
    role            text NOT NULL DEFAULT 'member',
    joined_at       timestamptz NOT NULL,
    -- The read cursor: everything of this interval up to read_seq is read.
    read_seq        bigint NOT NULL,
    read_ms_id      bigint NOT NULL,
    -- Of the member's own messages, how many lie at or below read_seq: own messages are not unread.
    read_sent_count bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (channel_id, user_id, from_seq),
    CONSTRAINT member_role_known CHECK (role IN ('owner', 'admin', 'member')),
    CONSTRAINT member_interval_not_empty CHECK (to_seq >= from_seq),
    CONSTRAINT member_cursor_in_interval CHECK (read_seq >= from_seq - 1)
) WITH (fillfactor = 70);
-- At most one open interval a member.
CREATE UNIQUE INDEX t_im_channel_user_open ON t_im_channel_user (channel_id, user_id) WHERE to_seq IS NULL;
-- A person's channels, for the conversation list.
CREATE INDEX t_im_channel_user_channels ON t_im_channel_user (user_id, channel_id) WHERE to_seq IS NULL;

-- What a person may see of a channel: while they are a member, the messages of each of their intervals from
-- sees_from_seq on. Every statement that shows a message, or tells of one, to a person asks this view.
CREATE VIEW v_im_visible AS
SELECT i.channel_id, i.user_id, i.from_seq, i.from_ms_id, i.to_seq, i.sees_from_seq, i.read_seq, i.read_ms_id
FROM t_im_channel_user i
JOIN t_im_channel_user now ON now.channel_id = i.channel_id AND now.user_id = i.user_id AND now.to_seq IS NULL;

-- How many messages a member has sent in a channel. Apart from the membership, because
-- it is written only under the channel's lock and so never waits for a reader's cursor.
CREATE TABLE t_im_channel_sender (
    channel_id    bigint NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    sent_count    bigint NOT NULL,
    last_sent_seq bigint NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) WITH (fillfactor = 50);
