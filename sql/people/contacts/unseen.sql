-- The position of the first of these users that an external user does not see.
-- $1 the external user, $2 user ids
SELECT given.ord - 1 AS position
FROM unnest($2::text[]) WITH ORDINALITY AS given (user_id, ord)
WHERE NOT im_sees($1, given.user_id)
ORDER BY given.ord
LIMIT 1
