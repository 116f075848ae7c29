-- The users that SCIM shows, with their Groups, in the given order.
-- $1 user ids, $2 kind of Groups: departments or groups
SELECT u.user_id, u.name, u.active, u.kind, u.login_name, u.employee_number, u.title, u.email, u.phone, u.head_icon, u.manager,
       u.scim, u.version, u.created_at, u.updated_at, m.groups
FROM unnest($1::text[]) WITH ORDINALITY AS w (user_id, ord)
-- OFFSET 0 makes each user a key lookup. The rest is checked outside, so that no other index fits.
CROSS JOIN LATERAL (SELECT * FROM t_im_user WHERE user_id = w.user_id OFFSET 0) AS u
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_object('value', g.group_id, 'display', g.name) ORDER BY g.group_id), '[]') AS groups
    FROM v_im_scim_member v
    -- OFFSET 0 makes each Group a key lookup. A join could read all Groups for each user.
    CROSS JOIN LATERAL (SELECT i.group_id, i.name FROM v_im_scim_group i WHERE i.kind = $2 AND i.group_id = v.group_id OFFSET 0) AS g
    WHERE v.user_id = u.user_id AND v.kind = $2
) AS m
WHERE u.source IN ('scim', 'api') AND u.deleted_at IS NULL
ORDER BY w.ord
