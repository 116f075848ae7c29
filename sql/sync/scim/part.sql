-- Removes users from a group.
-- $1 group id, $2 user ids
DELETE FROM t_im_scim_member WHERE group_id = $1 AND user_id = ANY ($2::text[])
