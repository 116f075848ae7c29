-- Applies a step of staged departments, except their place in the tree, which depends on all of them. An
-- earlier statement locks the directory.
-- $1 run id, $2 after this row, $3 up to this row, $4 now
-- refused: row, id and reason of each; changed: id and action of the others
WITH staged AS MATERIALIZED (
    SELECT * FROM v_im_stage_department WHERE run_id = $1 AND row_no > $2 AND row_no <= $3
),
change AS MATERIALIZED (
    SELECT * FROM staged WHERE action NOT IN ('same', 'refused')
),
written AS (
    INSERT INTO t_im_department (department_id, source, name, name_folded, source_parent_id, sort_order, removed_at, created_at, updated_at)
    SELECT department_id, source, name, name_folded, source_parent_id, sort_order, removed_at, $4::timestamptz, $4
    FROM change
    ORDER BY department_id
    ON CONFLICT (department_id) DO UPDATE
    SET source = EXCLUDED.source, name = EXCLUDED.name, name_folded = EXCLUDED.name_folded, source_parent_id = EXCLUDED.source_parent_id,
        sort_order = EXCLUDED.sort_order, removed_at = EXCLUDED.removed_at, updated_at = EXCLUDED.updated_at,
        version = t_im_department.version + 1
),
risen AS (
    UPDATE t_im_directory_head SET revision = revision + 1 WHERE EXISTS (SELECT FROM change)
)
SELECT coalesce((SELECT jsonb_agg(jsonb_build_array(row_no, department_id, problem) ORDER BY row_no)
                 FROM staged WHERE action = 'refused'), '[]') AS refused,
       coalesce((SELECT jsonb_object_agg(department_id, action) FROM change), '{}') AS changed
