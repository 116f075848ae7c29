-- The next ids of Groups, for whoever walks through all of them.
-- $1 what Groups are, $2 after this id, $3 how many
SELECT group_id FROM v_im_scim_group WHERE kind = $1 AND group_id > $2 ORDER BY group_id LIMIT $3::bigint
