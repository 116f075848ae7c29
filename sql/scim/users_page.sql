-- The ids of a page of people whom SCIM shows.
-- $1 how many come before it, $2 how many are on it
SELECT user_id FROM t_im_user
WHERE source IN ('scim', 'api') AND deleted_at IS NULL
ORDER BY user_id OFFSET $1::bigint LIMIT $2::bigint
