-- The next ids of people whom SCIM shows, for whoever walks through all of them.
-- $1 after this id, $2 how many
SELECT user_id FROM t_im_user
WHERE source IN ('scim', 'api') AND deleted_at IS NULL AND user_id > $1
ORDER BY user_id LIMIT $2::bigint
