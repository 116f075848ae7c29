-- Records why a run does not apply some records.
-- $1 run id, $2 kinds, $3 external ids, $4 reasons
WITH kept AS (
    INSERT INTO t_im_directory_problem (run_id, kind, external_id, detail)
    SELECT $1, kind, external_id, detail FROM unnest($2::text[], $3::text[], $4::text[]) AS p (kind, external_id, detail)
)
UPDATE t_im_directory_run SET problems = problems + cardinality($2) WHERE run_id = $1
