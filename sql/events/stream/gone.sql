-- The listeners who may no longer listen: the user has left, or the token is revoked.
-- $1 user ids, $2 SHA-256 of the service's own token of each, or null
SELECT l.number::integer AS number
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS l (user_id, token_hash, number)
WHERE NOT EXISTS (SELECT FROM t_im_user u WHERE u.user_id = l.user_id AND u.active)
   OR l.token_hash IS NOT NULL
      AND NOT EXISTS (SELECT FROM t_im_token t WHERE t.token_hash = l.token_hash)
