-- The ids of users that can match and that SCIM shows. Each branch is an index lookup, and one of them runs.
-- A search by e-mail runs two and can return a user twice.
-- $1 searched attribute: id, user_name, external_id, email; $2 its value, folded where case does not count
SELECT user_id FROM t_im_user
WHERE $1 = 'id' AND user_id = $2 AND source IN ('scim', 'api') AND deleted_at IS NULL
UNION ALL
SELECT user_id FROM t_im_user
WHERE $1 = 'user_name' AND coalesce(login_name_folded, user_id_folded, user_id) = $2 AND source IN ('scim', 'api') AND deleted_at IS NULL
UNION ALL
SELECT user_id FROM t_im_user
WHERE $1 = 'external_id' AND scim ->> 'externalId' = $2 AND scim IS NOT NULL AND source IN ('scim', 'api') AND deleted_at IS NULL
UNION ALL
SELECT user_id FROM t_im_user
WHERE $1 = 'email' AND email_folded = $2 AND source IN ('scim', 'api') AND deleted_at IS NULL
UNION ALL
SELECT user_id FROM t_im_user
WHERE $1 = 'email' AND scim_emails @> ARRAY[$2] AND scim_emails IS NOT NULL AND source IN ('scim', 'api') AND deleted_at IS NULL
