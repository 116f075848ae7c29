-- Channels. The row is the channel's lock: a transaction that orders messages or members holds it FOR NO KEY UPDATE.
-- The row also keeps the last message, so that a conversation list reads one row per channel and no messages.
CREATE TABLE t_im_channel (
    channel_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_type     text NOT NULL,
    channel_name     text,
    picture          text,
    announcement     text,
    creator          text COLLATE "C" NOT NULL,
    owner            text COLLATE "C",
    create_time      timestamptz NOT NULL,
    -- Whether new members see earlier messages: none or all of them.
    newcomers_see    text NOT NULL DEFAULT 'nothing',
    -- Whether every member may send, or only the owner, admins and applications.
    who_sends        text NOT NULL DEFAULT 'everybody',
    -- The first message that new members may ever see. Earlier messages were sent while new members saw
    -- nothing: in a direct channel, or under that setting of the group.
    sees_floor_seq   bigint NOT NULL DEFAULT 1,
    dissolved_at     timestamptz,
    -- The two members of a direct channel, lower id first. The upgrade to a group clears them.
    pair_low         text COLLATE "C",
    pair_high        text COLLATE "C",
    member_count     integer NOT NULL DEFAULT 0,
    last_seq         bigint NOT NULL DEFAULT 0,
    last_ms_id       bigint NOT NULL DEFAULT 0,
    last_server_time timestamptz,
    last_sender      text COLLATE "C",
    last_type        text,
    last_preview     jsonb,
    -- Whether a member has ever muted it. A push looks for members who have, only if it is set.
    has_muted        boolean NOT NULL DEFAULT false,
    CONSTRAINT channel_type_known CHECK (channel_type IN ('direct', 'group')),
    CONSTRAINT channel_newcomers_see_known CHECK (newcomers_see IN ('nothing', 'everything')),
    CONSTRAINT channel_who_sends_known CHECK (who_sends IN ('everybody', 'admins')),
    CONSTRAINT channel_pair_of_direct CHECK (
        (channel_type = 'direct') = (pair_low IS NOT NULL AND pair_high IS NOT NULL)
        AND (pair_low < pair_high) IS NOT FALSE)
) WITH (fillfactor = 50);
-- One direct channel per pair, also if both members create it at once.
CREATE UNIQUE INDEX t_im_channel_pair ON t_im_channel (pair_low, pair_high) WHERE pair_low IS NOT NULL;

-- Groups by name, for support. Direct channels, which are most, have none.
CREATE INDEX t_im_channel_named ON t_im_channel (channel_id) WHERE channel_name IS NOT NULL;

-- Membership as intervals of seq, never overwritten. A receiver of seq n is a member whose interval contains n. A
-- member who leaves and comes back has two intervals. from_ms_id is the last ms_id before the interval, so that a
-- query by seq can bound its partitions.
CREATE TABLE t_im_channel_user (
    channel_id      bigint NOT NULL,
    user_id         text COLLATE "C" NOT NULL,
    from_seq        bigint NOT NULL,
    from_ms_id      bigint NOT NULL,
    to_seq          bigint,
    -- The first message that the member may see: from_seq, or the channel's sees_floor_seq if new members saw
    -- everything at the time of joining.
    sees_from_seq   bigint NOT NULL,
    role            text NOT NULL DEFAULT 'member',
    joined_at       timestamptz NOT NULL,
    -- The read cursor: all messages of this interval up to read_seq are read.
    read_seq        bigint NOT NULL,
    read_ms_id      bigint NOT NULL,
    -- The number of the member's own messages up to read_seq. Own messages do not count as unread.
    read_sent_count bigint NOT NULL DEFAULT 0,
    -- The received cursor: the member's client has all messages of this interval up to received_seq. It counts only
    -- above the read cursor.
    received_seq    bigint NOT NULL DEFAULT 0,
    received_ms_id  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (channel_id, user_id, from_seq),
    CONSTRAINT member_role_known CHECK (role IN ('owner', 'admin', 'member')),
    CONSTRAINT member_interval_not_empty CHECK (to_seq >= from_seq),
    CONSTRAINT member_cursor_in_interval CHECK (read_seq >= from_seq - 1)
) WITH (fillfactor = 70);
-- At most one open interval per member.
CREATE UNIQUE INDEX t_im_channel_user_open ON t_im_channel_user (channel_id, user_id) WHERE to_seq IS NULL;
-- The newest members, who may not see what was sent before. A push asks for them.
CREATE INDEX t_im_channel_user_newest ON t_im_channel_user (channel_id, sees_from_seq);
-- A user's channels, for the conversation list.
CREATE INDEX t_im_channel_user_channels ON t_im_channel_user (user_id, channel_id) WHERE to_seq IS NULL;

-- The messages of a channel that a user may see: while the user is a member, those of each interval from
-- sees_from_seq on. Every statement that shows a user a message, or an event about one, uses this view.
CREATE VIEW v_im_visible AS
SELECT i.channel_id, i.user_id, i.from_seq, i.from_ms_id, i.to_seq, i.sees_from_seq, i.read_seq, i.read_ms_id,
       i.joined_at
FROM t_im_channel_user i
JOIN t_im_channel_user now ON now.channel_id = i.channel_id AND now.user_id = i.user_id AND now.to_seq IS NULL;

-- The number of messages that a member has sent in a channel. It has its own table, because it is written under the
-- channel's lock only and must not wait for a reader's cursor.
CREATE TABLE t_im_channel_sender (
    channel_id    bigint NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    sent_count    bigint NOT NULL,
    last_sent_seq bigint NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) WITH (fillfactor = 50);

-- The slots of members. The ledger keeps one bit per receiver, so each member of a channel has a slot: a number from
-- 0. It is given once, and a member who leaves and comes back keeps it. In a direct channel the member with the lower
-- id has slot 0, the other has slot 1.
CREATE TABLE t_im_channel_slot (
    channel_id bigint NOT NULL,
    slot       integer NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (channel_id, slot)
);
CREATE UNIQUE INDEX t_im_channel_slot_user ON t_im_channel_slot (channel_id, user_id);

-- The members of a channel as bits, in blocks of 1,024 slots. A send copies them and clears the sender's bit. Joins
-- and leaves write them under the channel's lock.
CREATE TABLE t_im_channel_block (
    channel_id bigint NOT NULL,
    block      integer NOT NULL,
    -- Its length is the number of slots that the block has given.
    members    bit varying NOT NULL,
    PRIMARY KEY (channel_id, block)
) WITH (fillfactor = 50);

-- A bit string of this length, with the bits at these positions set.
CREATE FUNCTION im_bits(positions integer[], length integer) RETURNS bit varying LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg(CASE WHEN given.position IS NULL THEN '0' ELSE '1' END, '' ORDER BY bit)::bit varying
    FROM generate_series(0, $2 - 1) AS bit
    LEFT JOIN (SELECT DISTINCT unnest($1) AS position) AS given ON given.position = bit
$$;

-- The bit at a position. It is 0 beyond the end and for null.
CREATE FUNCTION im_bit(bits bit varying, place integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $2 < length($1) THEN get_bit($1, $2) ELSE 0 END
$$;

-- The slots of users in a channel, by block: their positions in the block, and the length that contains them.
CREATE FUNCTION im_slots(channel_id bigint, user_ids text[])
RETURNS TABLE (block integer, positions integer[], length integer) LANGUAGE sql STABLE AS $$
    SELECT s.slot >> 10, array_agg(s.slot & 1023), max(s.slot & 1023) + 1
    FROM unnest($2) AS given (user_id)
    CROSS JOIN LATERAL (SELECT slot FROM t_im_channel_slot s
                        WHERE s.channel_id = $1 AND s.user_id = given.user_id OFFSET 0) AS s
    GROUP BY s.slot >> 10
$$;

-- Gives new users a slot and sets the bits of all given users. The channel is locked or just created.
CREATE FUNCTION im_set_members(channel_id bigint, user_ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- OFFSET 0 keeps the check of each user one index probe, whatever the statistics say.
    INSERT INTO t_im_channel_slot AS s (channel_id, slot, user_id)
    SELECT $1, taken.slots + row_number() OVER (ORDER BY given.user_id COLLATE "C") - 1, given.user_id
    FROM (SELECT coalesce(max(s.slot) + 1, 0) AS slots FROM t_im_channel_slot s WHERE s.channel_id = $1) AS taken,
         unnest($2) AS given (user_id)
    WHERE NOT EXISTS (SELECT FROM t_im_channel_slot s WHERE s.channel_id = $1 AND s.user_id = given.user_id OFFSET 0);

    INSERT INTO t_im_channel_block (channel_id, block, members)
    SELECT $1, sized.block, (sized.members || repeat('0', sized.length - length(sized.members))::bit varying)
                            | im_bits(sized.positions, sized.length)
    FROM (SELECT touched.block, touched.positions, coalesce(present.members, '') AS members,
                 greatest(touched.length, length(present.members)) AS length
          FROM im_slots($1, $2) AS touched
          LEFT JOIN LATERAL (SELECT members FROM t_im_channel_block b
                             WHERE b.channel_id = $1 AND b.block = touched.block OFFSET 0) AS present ON true) AS sized
    ON CONFLICT ON CONSTRAINT t_im_channel_block_pkey DO UPDATE SET members = EXCLUDED.members;
END $$;

-- Clears the bits of these members. They keep their slots. The channel is locked.
CREATE FUNCTION im_clear_members(channel_id bigint, user_ids text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE t_im_channel_block b
    SET members = b.members & ~im_bits(gone.positions, length(b.members))
    FROM im_slots($1, $2) AS gone
    WHERE b.channel_id = $1 AND b.block = ANY (ARRAY[gone.block])
$$;

-- Divides the slots of a channel into ranges of a given size, with the number of members in each.
CREATE FUNCTION im_member_stretches(channel_id bigint, slots integer) RETURNS TABLE (from_slot integer, members bigint)
LANGUAGE sql STABLE AS $$
    SELECT low, sum(bit_count(substring(b.members FROM greatest(low - (b.block << 10), 0) + 1
                                        FOR least(low + $2 - (b.block << 10), 1024) - greatest(low - (b.block << 10), 0))))::bigint
    FROM generate_series(0, (SELECT max((block << 10) + length(members)) - 1 FROM t_im_channel_block b WHERE b.channel_id = $1), $2) AS low
    JOIN t_im_channel_block b ON b.channel_id = $1 AND b.block BETWEEN low >> 10 AND (low + $2 - 1) >> 10
    GROUP BY low
$$;
