-- Users of a source who are no longer in its listing. A user whose record was bad counts as listed.
-- $1 run id, $2 source, $3 ids that still exist at the source
SELECT u.external_id
FROM t_im_user u
WHERE u.source = $2 AND u.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM t_im_stage_user s WHERE s.run_id = $1 AND s.external_id = u.external_id)
  AND NOT EXISTS (SELECT FROM t_im_directory_problem p
                  WHERE p.run_id = $1 AND p.kind = 'user' AND p.external_id = u.external_id)
  AND NOT EXISTS (SELECT FROM unnest($3::text[]) AS still (id) WHERE still.id = u.external_id)
ORDER BY u.external_id
