-- The friends and followers of users: who hears of their presence. At most so many for each of them.
-- $1 user ids, $2 most watchers of a user
SELECT given.user_id, watching.other_id AS watcher
FROM unnest($1::text[]) AS given (user_id)
CROSS JOIN LATERAL (
    SELECT other_id FROM t_im_relation
    WHERE user_id = given.user_id AND (friend = 'friend' OR followed)
    ORDER BY other_id
    LIMIT $2
) AS watching
