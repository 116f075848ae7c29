-- All tokens, including expired ones. The id is part of the hash and gives no access.
-- $1 most rows
SELECT encode(substring(token_hash FOR 8), 'hex') AS token_id, name, user_id, roles, created_at, expires_at
FROM t_im_token
ORDER BY created_at, token_hash
LIMIT $1::bigint
