-- The valid tokens, newest first, then those that have expired of late, or one of them. The id is part of the hash and
-- gives no access.
-- $1 token id, or null for all; $2 most rows
SELECT encode(substring(token_hash FOR 8), 'hex') AS token_id, name, user_id, roles, created_at, expires_at
FROM t_im_token
WHERE $1::text IS NULL OR encode(substring(token_hash FOR 8), 'hex') = $1
ORDER BY expires_at > im_clock() DESC, created_at DESC, token_hash
LIMIT $2::bigint
