-- Groups in the given order, with their members if requested. With members it returns as many Groups as fit
-- into a limit of members, and at least one.
-- $1 kind of Groups, $2 group ids, $3 whether with members, $4 most members
WITH found AS (
    SELECT w.ord, g.group_id, g.name, g.scim, g.version, g.created_at, g.updated_at,
           CASE WHEN $3 THEN (SELECT count(*) FROM v_im_scim_member m WHERE m.kind = $1 AND m.group_id = g.group_id) END AS members
    FROM unnest($2::text[]) WITH ORDINALITY AS w (group_id, ord)
    -- OFFSET 0 makes each Group a key lookup. A join could read all Groups.
    CROSS JOIN LATERAL (SELECT * FROM v_im_scim_group i WHERE i.kind = $1 AND i.group_id = w.group_id OFFSET 0) AS g
),
counted AS (
    SELECT f.*, row_number() OVER (ORDER BY ord) AS place, sum(members) OVER (ORDER BY ord) AS so_far FROM found f
)
SELECT c.group_id, c.name, c.scim, c.version, c.created_at, c.updated_at,
       CASE WHEN $3 THEN ARRAY(SELECT m.user_id FROM v_im_scim_member m WHERE m.kind = $1 AND m.group_id = c.group_id
                               ORDER BY m.user_id) END AS member_ids
FROM counted c
WHERE NOT $3 OR c.place = 1 OR c.so_far <= $4::bigint
ORDER BY c.ord
