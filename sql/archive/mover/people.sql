-- All users who have or had a slot in these channels, by user id.
-- $1 channel ids
SELECT s.channel_id, array_agg(s.slot ORDER BY s.user_id) AS slots, array_agg(s.user_id ORDER BY s.user_id) AS user_ids
FROM unnest($1::bigint[]) AS given (channel_id)
CROSS JOIN LATERAL (SELECT channel_id, slot, user_id FROM t_im_channel_slot WHERE channel_id = given.channel_id OFFSET 0) AS s
GROUP BY s.channel_id
