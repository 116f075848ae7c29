-- The links of a callback or one of them: those that are valid, newest first, then those that have expired of late. The id
-- is part of the hash and gives no access.
-- $1 callback id, $2 link id, or null for all; $3 most rows
SELECT encode(substring(link_hash FOR 8), 'hex') AS link_id, callback_id, name, created_by, created_at, expires_at, opened_at
FROM t_im_endpoint_link
WHERE callback_id = $1 AND ($2::text IS NULL OR encode(substring(link_hash FOR 8), 'hex') = $2)
ORDER BY expires_at > im_clock() DESC, created_at DESC, link_hash
LIMIT $3::bigint
