-- Adds users to a group.
-- $1 group id, $2 user ids
INSERT INTO t_im_scim_member (group_id, user_id)
SELECT $1, user_id FROM unnest($2::text[]) AS w (user_id) ORDER BY user_id
ON CONFLICT DO NOTHING
