-- Removes a token. It is matched without an index: there are few, and it happens rarely.
-- $1 token id as listed
DELETE FROM t_im_token
WHERE encode(substring(token_hash FOR 8), 'hex') = $1::text
