-- The ids of Groups that can match. Each branch is an index lookup, and one of them runs.
-- $1 kind of Groups, $2 searched attribute: id, display_name, external_id, member; $3 its value, folded for a
-- name
SELECT group_id FROM v_im_scim_group WHERE $2 = 'id' AND kind = $1 AND group_id = $3
UNION ALL
SELECT group_id FROM v_im_scim_group WHERE $2 = 'display_name' AND kind = $1 AND name_folded = $3
UNION ALL
SELECT group_id FROM v_im_scim_group WHERE $2 = 'external_id' AND kind = $1 AND scim ->> 'externalId' = $3
UNION ALL
SELECT g.group_id
FROM v_im_scim_member m
CROSS JOIN LATERAL (SELECT i.group_id FROM v_im_scim_group i WHERE i.kind = $1 AND i.group_id = m.group_id OFFSET 0) AS g
WHERE $2 = 'member' AND m.kind = $1 AND m.user_id = $3
