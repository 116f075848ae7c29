-- Applies a step of staged users: the users, their departments and the events. A repeat changes nothing. An
-- earlier statement locks the directory.
-- $1 run id, $2 after this row, $3 up to this row, $4 now
-- refused: row, external id and reason of each; left_ids: the users who have left
WITH staged AS MATERIALIZED (
    SELECT * FROM v_im_stage_user WHERE run_id = $1 AND row_no > $2 AND row_no <= $3
),
change AS MATERIALIZED (
    SELECT * FROM staged WHERE action NOT IN ('same', 'refused')
),
written AS (
    INSERT INTO t_im_user
        (user_id, source, external_id, name, head_icon, active, kind, login_name,
         login_name_folded, user_id_folded, employee_number, title, email, email_folded, phone, manager, department_id, deleted_at, source_version, created_at, updated_at)
    SELECT user_id, source, external_id, name, head_icon, active, kind, login_name,
           login_name_folded, user_id_folded, employee_number, title, email, email_folded, phone, manager, department_id, deleted_at, source_version, $4::timestamptz, $4
    FROM staged
    WHERE action NOT IN ('same', 'refused') OR action = 'same' AND is_newer
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET source = EXCLUDED.source, external_id = EXCLUDED.external_id, name = EXCLUDED.name, head_icon = EXCLUDED.head_icon,
        active = EXCLUDED.active, kind = EXCLUDED.kind, login_name = EXCLUDED.login_name,
        login_name_folded = EXCLUDED.login_name_folded, email_folded = EXCLUDED.email_folded,
        employee_number = EXCLUDED.employee_number, title = EXCLUDED.title, email = EXCLUDED.email,
        phone = EXCLUDED.phone, manager = EXCLUDED.manager, department_id = EXCLUDED.department_id,
        deleted_at = EXCLUDED.deleted_at, source_version = EXCLUDED.source_version, updated_at = EXCLUDED.updated_at,
        version = t_im_user.version + 1
),
moved_out AS (
    -- The array makes every plan look users up by key, also a plan made while there were few.
    DELETE FROM t_im_department_user d
    USING change c
    WHERE d.user_id = ANY (ARRAY(SELECT user_id FROM change WHERE NOT worked_in <@ works_in))
      AND NOT c.worked_in <@ c.works_in AND c.user_id = d.user_id AND d.department_id <> ALL (c.works_in)
),
moved_in AS (
    INSERT INTO t_im_department_user (department_id, user_id)
    SELECT DISTINCT d.department_id, c.user_id
    FROM change c CROSS JOIN unnest(c.works_in) AS d (department_id)
    WHERE d.department_id <> ALL (c.worked_in)
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING
),
told AS (
    INSERT INTO t_im_event_new (type, actor, data, at)
    SELECT w.type, c.user_id,
           jsonb_build_object('user_id', c.user_id, 'name', c.name, 'active', c.active, 'kind', c.kind,
                              'department_id', c.department_id), $4
    FROM (SELECT action, 'user.' || action AS type FROM unnest(ARRAY['created', 'updated', 'deactivated']) AS action
          WHERE im_event_wanted('user.' || action) OFFSET 0) AS w
    JOIN change c ON c.action = w.action
    ORDER BY c.row_no
),
leavers AS (
    INSERT INTO t_im_leaver (user_id)
    SELECT user_id FROM change WHERE was_active IS DISTINCT FROM active AND NOT is_new ORDER BY user_id
    ON CONFLICT DO NOTHING
),
risen AS (
    UPDATE t_im_directory_head SET revision = revision + 1 WHERE EXISTS (SELECT FROM change)
)
SELECT coalesce((SELECT jsonb_agg(jsonb_build_array(row_no, staged_external_id, problem) ORDER BY row_no)
                 FROM staged WHERE action = 'refused'), '[]') AS refused,
       ARRAY(SELECT user_id FROM change WHERE action = 'deactivated' ORDER BY user_id) AS left_ids
