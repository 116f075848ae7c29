-- The ids of a page of users that SCIM shows.
-- $1 rows before the page, $2 rows of the page
SELECT user_id FROM t_im_user
WHERE source IN ('scim', 'api') AND deleted_at IS NULL
ORDER BY user_id OFFSET $1::bigint LIMIT $2::bigint
