-- Departments of a source that are no longer in its listing.
-- $1 run id, $2 source, $3 ids that still exist at the source
SELECT d.department_id
FROM t_im_department d
WHERE d.source = $2 AND d.removed_at IS NULL
  AND NOT EXISTS (SELECT FROM t_im_stage_department s WHERE s.run_id = $1 AND s.department_id = d.department_id)
  AND NOT EXISTS (SELECT FROM t_im_directory_problem p
                  WHERE p.run_id = $1 AND p.kind = 'department' AND p.external_id = d.department_id)
  AND NOT EXISTS (SELECT FROM unnest($3::text[]) AS still (id) WHERE still.id = d.department_id)
ORDER BY d.department_id
