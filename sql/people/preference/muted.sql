-- The slots of members who have muted their channel. Only channels that a member has muted are asked for.
-- $1 channel ids, $2 lowest slots, $3 highest slots: one element per channel; $4 now
SELECT given.channel_id, array_agg(p.slot) AS slots
FROM unnest($1::bigint[], $2::integer[], $3::integer[]) AS given (channel_id, low, high)
CROSS JOIN LATERAL (
    SELECT slot FROM t_im_channel_preference
    WHERE channel_id = given.channel_id AND slot BETWEEN given.low AND given.high
      AND muted AND (mute_until IS NULL OR mute_until > $4)
    OFFSET 0
) AS p
GROUP BY given.channel_id
