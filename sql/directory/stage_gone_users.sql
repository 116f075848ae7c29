-- Whom a source knew and does not list any more, as records of their own. Whose record was bad is still listed.
-- $1 run id, $2 source, $3 after this row, $4 the attributes that stay, $5 who is still there as before
INSERT INTO t_im_stage_user (run_id, row_no, source, external_id, user_id, active, gone, untold)
SELECT $1, $3::bigint + row_number() OVER (ORDER BY u.external_id), u.source, u.external_id, u.user_id, false, true, $4::text[]
FROM t_im_user u
WHERE u.source = $2 AND u.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM t_im_stage_user s WHERE s.run_id = $1 AND s.external_id = u.external_id)
  AND NOT EXISTS (SELECT FROM t_im_directory_problem p
                  WHERE p.run_id = $1 AND p.kind = 'user' AND p.external_id = u.external_id)
  AND NOT EXISTS (SELECT FROM unnest($5::text[]) AS still (id) WHERE still.id = u.external_id)
