-- Replaces the settings of a member for a channel. The first member who mutes a channel marks it.
-- $1 channel id, $2 user id, $3 muted, $4 mute until or null, $5 pinned, $6 remark or null, $7 now, $8 most pinned channels
-- is_member: whether the user is a member; has_room: whether the channel can be pinned. Otherwise nothing changes.
WITH member AS MATERIALIZED (
    SELECT m.channel_id, m.user_id, s.slot
    FROM t_im_channel_user m
    CROSS JOIN LATERAL (
        SELECT slot FROM t_im_channel_slot WHERE channel_id = m.channel_id AND user_id = m.user_id OFFSET 0) AS s
    WHERE m.channel_id = $1 AND m.user_id = $2 AND m.to_seq IS NULL
),
room AS MATERIALIZED (
    -- Channels that the user has left do not count.
    SELECT NOT $5 OR count(*) < $8 AS has_room
    FROM t_im_channel_preference p
    CROSS JOIN LATERAL (
        SELECT FROM t_im_channel_user
        WHERE channel_id = p.channel_id AND user_id = p.user_id AND to_seq IS NULL OFFSET 0) AS m
    WHERE p.user_id = $2 AND p.pinned AND p.channel_id <> $1
),
kept AS (
    INSERT INTO t_im_channel_preference AS p
        (user_id, channel_id, slot, muted, mute_until, pinned, remark, moved_at)
    SELECT user_id, channel_id, slot, $3, $4, $5, $6, $7 FROM member, room WHERE has_room
    ON CONFLICT (user_id, channel_id) DO UPDATE
    SET muted = EXCLUDED.muted, mute_until = EXCLUDED.mute_until, pinned = EXCLUDED.pinned, remark = EXCLUDED.remark,
        moved_at = CASE WHEN p.pinned = EXCLUDED.pinned THEN p.moved_at ELSE EXCLUDED.moved_at END
    RETURNING channel_id, muted
),
marked AS (
    UPDATE t_im_channel c SET has_muted = true
    FROM kept
    WHERE c.channel_id = ANY (ARRAY[kept.channel_id]) AND kept.muted AND NOT c.has_muted
)
SELECT EXISTS (SELECT FROM member) AS is_member, has_room FROM room
