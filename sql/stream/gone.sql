-- Of those who listen, who may no longer: they have left, or their token is revoked.
-- $1 user ids, $2 the SHA-256 of the token of ours each came with, or null
SELECT l.number::integer AS number
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS l (user_id, token_hash, number)
WHERE NOT EXISTS (SELECT FROM t_im_user u WHERE u.user_id = l.user_id AND u.active)
   OR l.token_hash IS NOT NULL
      AND NOT EXISTS (SELECT FROM t_im_token t WHERE t.token_hash = l.token_hash)
