-- The same of departments.
-- $1 run id, $2 source, $3 after this row, $4 the attributes that stay, $5 who is still there as before
INSERT INTO t_im_stage_department (run_id, row_no, source, department_id, gone, untold)
SELECT $1, $3::bigint + row_number() OVER (ORDER BY d.department_id), d.source, d.department_id, true, $4::text[]
FROM t_im_department d
WHERE d.source = $2 AND d.removed_at IS NULL
  AND NOT EXISTS (SELECT FROM t_im_stage_department s WHERE s.run_id = $1 AND s.department_id = d.department_id)
  AND NOT EXISTS (SELECT FROM t_im_directory_problem p
                  WHERE p.run_id = $1 AND p.kind = 'department' AND p.external_id = d.department_id)
  AND NOT EXISTS (SELECT FROM unnest($5::text[]) AS still (id) WHERE still.id = d.department_id)
