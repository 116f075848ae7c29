-- Users of a source who are no longer in its listing. A user whose record was bad counts as listed.
-- $1 run id, $2 source, $3 ids that still exist at the source
SELECT u.external_id
FROM t_im_user u
WHERE u.source = $2 AND u.deleted_at IS NULL
  -- OFFSET 0 makes each of them a key lookup. IS NOT TRUE makes the plan hash the others, and an array keeps it from
  -- counting them.
  AND NOT EXISTS (SELECT FROM t_im_stage_user s WHERE s.run_id = $1 AND s.external_id = u.external_id OFFSET 0)
  AND (u.external_id IN (SELECT unnest(ARRAY(SELECT external_id FROM t_im_directory_problem
                                       WHERE run_id = $1 AND kind = 'user')))) IS NOT TRUE
  AND (u.external_id IN (SELECT unnest($3::text[]))) IS NOT TRUE
ORDER BY u.external_id
