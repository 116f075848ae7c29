-- The notification settings of users. Users who have never set any are left out.
-- $1 user ids
SELECT p.user_id, p.quiet, p.every_s, p.ways, p.offline_reminder, p.offline_priority
FROM unnest($1::text[]) AS given (user_id)
CROSS JOIN LATERAL (
    SELECT user_id, quiet, every_s, ways, offline_reminder, offline_priority
    FROM t_im_preference WHERE user_id = given.user_id OFFSET 0
) AS p
