-- Creates the direct channels of a user with others, unless they exist. In order of the pairs, so that two
-- transactions that create the same ones do not deadlock. If the creator is a person, an earlier statement locks the relations
-- of the pair.
-- $1 creator, $2 the others, $3 now, $4 whether they are encrypted
-- Returns the new channels.
WITH pair AS MATERIALIZED (
    SELECT DISTINCT least(other, $1 COLLATE "C") AS low, greatest(other, $1 COLLATE "C") AS high
    FROM unnest($2::text[] COLLATE "C") AS given (other)
),
made AS (
    INSERT INTO t_im_channel (channel_type, creator, create_time, pair_low, pair_high, member_count, mls_epoch)
    SELECT 'direct', $1, $3, low, high, 2, CASE WHEN $4 THEN 0 END
    FROM pair
    WHERE NOT EXISTS (SELECT FROM t_im_channel WHERE pair_low = pair.low AND pair_high = pair.high OFFSET 0)
    ORDER BY low, high
    ON CONFLICT (pair_low, pair_high) WHERE pair_low IS NOT NULL DO NOTHING
    RETURNING channel_id, pair_low, pair_high
),
member AS MATERIALIZED (
    -- The lower id has slot 0.
    SELECT channel_id, member.slot, member.user_id, member.other_id
    FROM made CROSS JOIN LATERAL (VALUES (0, pair_low, pair_high), (1, pair_high, pair_low)) AS member (slot, user_id, other_id)
),
joined AS (
    INSERT INTO t_im_channel_user
        (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, joined_at, read_seq, read_ms_id, talk)
    SELECT m.channel_id, m.user_id, 1, 0, 1, $3, 0, 0,
           CASE WHEN r.blocked THEN 'blocked' WHEN r.friend IN ('friend', 'unfriended') THEN r.friend END
    FROM member m
    CROSS JOIN (SELECT coalesce((SELECT kind FROM t_im_user WHERE user_id = $1), '') AS kind) AS creator
    LEFT JOIN LATERAL (
        -- Applications have no relations.
        SELECT friend, blocked FROM t_im_relation
        WHERE creator.kind <> 'application' AND user_id = m.user_id AND other_id = m.other_id OFFSET 0) AS r ON true
),
placed AS (
    INSERT INTO t_im_channel_slot (channel_id, slot, user_id) SELECT channel_id, slot, user_id FROM member
),
blocked AS (
    INSERT INTO t_im_channel_block (channel_id, block, members) SELECT channel_id, 0, B'11' FROM made
),
told AS (
    INSERT INTO t_im_event_new (type, channel_id, actor, data, at)
    SELECT 'channel.created', channel_id, $1,
           jsonb_build_object('channel_id', channel_id::text, 'channel_type', 'direct', 'name', NULL, 'creator', $1::text,
                              'member_count', 2), im_clock()
    FROM made WHERE im_event_wanted('channel.created')
)
SELECT channel_id FROM made
