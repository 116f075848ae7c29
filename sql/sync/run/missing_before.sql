-- Which of these records were missing in an earlier run too, and in every full listing since.
-- $1 source, $2 kind, $3 external ids, $4 the run that misses them now
SELECT external_id FROM t_im_directory_missing
WHERE source = $1 AND kind = $2 AND external_id = ANY ($3::text[]) AND run_id < $4
ORDER BY external_id
