-- The number of unread messages of users in channels. There is no row for a user who is no member.
-- $1 user ids, $2 channel ids: one element each for a user in a channel
SELECT given.ord, u.unread_count
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS given (user_id, channel_id, ord)
CROSS JOIN LATERAL (
    SELECT unread_count FROM v_im_unread WHERE user_id = given.user_id AND channel_id = given.channel_id OFFSET 0
) AS u
