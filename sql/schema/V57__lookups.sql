-- Functions and a view again, in forms whose cost does not depend on the statistics: OFFSET 0 makes each row a key lookup.
-- A join without statistics can compare each row of one side with each of the other.

CREATE OR REPLACE FUNCTION im_granted(viewer text, department_ids text[]) RETURNS boolean LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up (department_id, parent_id) AS (
        SELECT d.department_id, d.parent_id
        FROM unnest($2) AS given (department_id)
        CROSS JOIN LATERAL (SELECT department_id, parent_id, removed_at FROM t_im_department
                            WHERE department_id = given.department_id OFFSET 0) AS d
        WHERE d.removed_at IS NULL AND EXISTS (SELECT FROM t_im_department_grant WHERE user_id = $1)
        UNION
        SELECT d.department_id, d.parent_id
        FROM up
        CROSS JOIN LATERAL (SELECT department_id, parent_id, removed_at FROM t_im_department
                            WHERE department_id = up.parent_id OFFSET 0) AS d
        WHERE d.removed_at IS NULL
    )
    SELECT EXISTS (SELECT FROM up
                   CROSS JOIN LATERAL (SELECT FROM t_im_department_grant
                                       WHERE user_id = $1 AND department_id = up.department_id OFFSET 0) AS g)
$$;

CREATE OR REPLACE FUNCTION im_sees(viewer text, person text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT $1 = $2
        OR EXISTS (SELECT FROM (SELECT channel_id FROM t_im_channel_user WHERE user_id = $1 AND to_seq IS NULL OFFSET 0) AS mine
                   CROSS JOIN LATERAL (SELECT FROM t_im_channel_user
                                       WHERE channel_id = mine.channel_id AND user_id = $2 AND to_seq IS NULL OFFSET 0) AS theirs)
        OR im_granted($1, ARRAY(SELECT department_id FROM t_im_department_user WHERE user_id = $2))
$$;

CREATE OR REPLACE FUNCTION im_department_people(department_id text, below boolean) RETURNS TABLE (user_id text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE place (department_id) AS (
        SELECT $1 COLLATE "C"
        UNION
        SELECT d.department_id
        FROM place p
        CROSS JOIN LATERAL (SELECT t.department_id, t.removed_at FROM t_im_department t WHERE t.parent_id = p.department_id
                            OFFSET 0) AS d
        WHERE $2 AND d.removed_at IS NULL
    )
    SELECT DISTINCT w.user_id
    FROM place p
    CROSS JOIN LATERAL (SELECT t.user_id FROM t_im_department_user t WHERE t.department_id = p.department_id OFFSET 0) AS w
    CROSS JOIN LATERAL (SELECT t.active, t.kind FROM t_im_user t WHERE t.user_id = w.user_id OFFSET 0) AS u
    WHERE u.active AND u.kind <> 'application'
$$;

CREATE OR REPLACE VIEW v_im_scim_member AS
SELECT 'departments' AS kind, department_id AS group_id, user_id FROM t_im_department_user
UNION ALL
SELECT 'departments', w.department_id, w.user_id
FROM t_im_scim_waiting w
WHERE NOT EXISTS (SELECT FROM t_im_department_user d WHERE d.department_id = w.department_id AND d.user_id = w.user_id OFFSET 0)
UNION ALL
SELECT 'groups', group_id, user_id FROM t_im_scim_member;
