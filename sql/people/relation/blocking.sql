-- The position of the first of these users who blocks a user.
-- $1 user id, $2 the others
SELECT given.ord - 1 AS position
FROM unnest($2::text[]) WITH ORDINALITY AS given (other_id, ord)
CROSS JOIN LATERAL (
    SELECT FROM t_im_relation WHERE user_id = $1 AND other_id = given.other_id AND blocked OFFSET 0) AS blocked
ORDER BY given.ord
LIMIT 1
