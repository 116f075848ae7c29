-- Departments of a source that are no longer in its listing.
-- $1 run id, $2 source, $3 ids that still exist at the source
SELECT d.department_id
FROM t_im_department d
WHERE d.source = $2 AND d.removed_at IS NULL
  -- OFFSET 0 makes each of them a key lookup. IS NOT TRUE makes the plan hash the others, and an array keeps it from
  -- counting them.
  AND NOT EXISTS (SELECT FROM t_im_stage_department s WHERE s.run_id = $1 AND s.department_id = d.department_id OFFSET 0)
  AND (d.department_id IN (SELECT unnest(ARRAY(SELECT external_id FROM t_im_directory_problem
                                       WHERE run_id = $1 AND kind = 'department')))) IS NOT TRUE
  AND (d.department_id IN (SELECT unnest($3::text[]))) IS NOT TRUE
ORDER BY d.department_id
