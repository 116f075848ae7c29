-- Creates or changes a group.
-- $1 group id, $2 name, $3 document, $4 whether its members have changed, $5 now, $6 folded name
INSERT INTO t_im_scim_group AS g (group_id, name, name_folded, scim, created_at, updated_at)
VALUES ($1, $2, $6, $3, $5::timestamptz, $5)
ON CONFLICT (group_id) DO UPDATE
SET name = EXCLUDED.name, name_folded = EXCLUDED.name_folded, scim = EXCLUDED.scim, version = g.version + 1, updated_at = EXCLUDED.updated_at
WHERE (g.name, g.scim) IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.scim) OR $4
