-- The next ids of users that SCIM shows, for a walk through all users.
-- $1 after this id, $2 most rows
SELECT user_id FROM t_im_user
WHERE source IN ('scim', 'api') AND deleted_at IS NULL AND user_id > $1
ORDER BY user_id LIMIT $2::bigint
