-- Deletes a token. There is no index for this, because tokens are few and revocation is rare.
-- $1 token id of the list
DELETE FROM t_im_token
WHERE encode(substring(token_hash FOR 8), 'hex') = $1::text
RETURNING name, user_id, roles
