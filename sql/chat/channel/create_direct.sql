-- Creates the direct channel of a pair, unless it exists.
-- $1 creator, $2 lower user id, $3 higher user id, $4 now
WITH made AS (
    INSERT INTO t_im_channel (channel_type, creator, create_time, pair_low, pair_high, member_count)
    VALUES ('direct', $1, $4, $2, $3, 2)
    ON CONFLICT (pair_low, pair_high) WHERE pair_low IS NOT NULL DO NOTHING
    RETURNING channel_id
),
joined AS (
    INSERT INTO t_im_channel_user (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, joined_at, read_seq, read_ms_id)
    SELECT made.channel_id, member.user_id, 1, 0, 1, $4, 0, 0
    FROM made, unnest(ARRAY[$2, $3]) AS member (user_id)
)
SELECT channel_id, im_set_members(channel_id, ARRAY[$2, $3]) FROM made
