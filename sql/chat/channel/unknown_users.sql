-- The first of these users who is not an active user of the directory, by position. A robot belongs to its group alone.
-- $1 user ids
SELECT given.ord - 1 AS position
FROM unnest($1::text[]) WITH ORDINALITY AS given (user_id, ord)
WHERE NOT EXISTS (SELECT FROM t_im_user u WHERE u.user_id = given.user_id AND u.active)
   OR EXISTS (SELECT FROM t_im_robot r WHERE r.user_id = given.user_id OFFSET 0)
ORDER BY given.ord
LIMIT 1
