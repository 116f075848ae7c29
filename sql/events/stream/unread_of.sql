-- The channels of users with unread messages, and the number in each.
-- $1 user ids
SELECT given.user_id, mine.channel_id, mine.unread_count
FROM unnest($1::text[]) AS given (user_id)
CROSS JOIN LATERAL (SELECT channel_id, unread_count FROM v_im_unread WHERE user_id = given.user_id OFFSET 0) AS mine
WHERE mine.unread_count > 0
