-- The ids of a page of Groups.
-- $1 what Groups are, $2 how many come before it, $3 how many are on it
SELECT group_id FROM v_im_scim_group WHERE kind = $1 ORDER BY group_id OFFSET $2::bigint LIMIT $3::bigint
