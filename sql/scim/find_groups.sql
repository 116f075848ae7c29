-- The ids of Groups that may be meant: each branch is index probes, and one of them runs.
-- $1 what Groups are, $2 what they are known by: id, display_name, external_id, member; $3 its value
SELECT group_id FROM v_im_scim_group WHERE $2 = 'id' AND kind = $1 AND group_id = $3
UNION ALL
SELECT group_id FROM v_im_scim_group WHERE $2 = 'display_name' AND kind = $1 AND lower(name) = lower($3)
UNION ALL
SELECT group_id FROM v_im_scim_group WHERE $2 = 'external_id' AND kind = $1 AND scim ->> 'externalId' = $3
UNION ALL
SELECT g.group_id FROM v_im_scim_member m JOIN v_im_scim_group g ON g.kind = m.kind AND g.group_id = m.group_id
WHERE $2 = 'member' AND m.kind = $1 AND g.kind = $1 AND m.user_id = $3
