-- The first of these people whom an external person does not see, by position.
-- $1 the external person, $2 user ids
SELECT given.ord - 1 AS position
FROM unnest($2::text[]) WITH ORDINALITY AS given (user_id, ord)
WHERE NOT im_sees($1, given.user_id)
ORDER BY given.ord
LIMIT 1
