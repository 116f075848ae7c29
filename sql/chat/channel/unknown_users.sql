-- The first of these users who is not an active user of the directory, by position.
-- $1 user ids
SELECT given.ord - 1 AS position
FROM unnest($1::text[]) WITH ORDINALITY AS given (user_id, ord)
WHERE NOT EXISTS (SELECT FROM t_im_user u WHERE u.user_id = given.user_id AND u.active)
ORDER BY given.ord
LIMIT 1
