-- Which of these users an external user sees.
-- $1 the external user, $2 user ids
SELECT user_id FROM unnest($2::text[]) AS given (user_id) WHERE im_sees($1, given.user_id)
