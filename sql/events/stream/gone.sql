-- The listeners who may no longer listen: the user has left, the token is revoked, or the session has ended.
-- $1 user ids, $2 of each SHA-256 of the service's own token, or the id of the session of an account, or null
SELECT l.number::integer AS number
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS l (user_id, proof, number)
WHERE NOT EXISTS (SELECT FROM t_im_user u WHERE u.user_id = l.user_id AND u.active)
   OR l.proof IS NOT NULL
      AND NOT EXISTS (SELECT FROM t_im_token t WHERE t.token_hash = l.proof)
      AND NOT EXISTS (SELECT FROM t_im_session s WHERE s.session_id = l.proof AND s.user_id = l.user_id)
