-- The next Group ids, for a walk through all Groups.
-- $1 kind of Groups, $2 after this id, $3 most rows
SELECT group_id FROM v_im_scim_group WHERE kind = $1 AND group_id > $2 ORDER BY group_id LIMIT $3::bigint
