-- Users that a search text may mean: the user with this id, and users with a name that begins so, leavers
-- too. Closest first.
-- $1 search text, $2 from this word, or null, $3 before this one, $4 the external user who looks, or null
-- $5 most words to look at, $6 limit, $7 the user who looks, or null: a robot is seen by the members of its group
SELECT u.user_id, u.name, u.active, u.user_id = $1 AS is_id
FROM (
    SELECT user_id, min(word) AS word
    FROM (
        (SELECT word, user_id FROM t_im_user_word WHERE word >= $2 AND word < $3 ORDER BY word, user_id LIMIT $5)
        UNION ALL
        SELECT '', $1
    ) AS looked
    GROUP BY user_id
) AS found
CROSS JOIN LATERAL (SELECT user_id, name, active FROM t_im_user WHERE user_id = found.user_id OFFSET 0) AS u
WHERE u.user_id = $1 OR ($4::text IS NULL OR im_sees($4, u.user_id)) AND im_sees_application($7, u.user_id)
ORDER BY is_id DESC, found.word, u.user_id
LIMIT $6
