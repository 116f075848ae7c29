-- Records what is missing from a full listing, and since which run. Records that are listed again are
-- deleted.
-- $1 source, $2 kind, $3 external ids, $4 run id
WITH listed AS (
    DELETE FROM t_im_directory_missing m
    -- IS NOT TRUE makes the plan hash the ids.
    WHERE m.source = $1 AND m.kind = $2 AND (m.external_id IN (SELECT unnest($3::text[]))) IS NOT TRUE
)
INSERT INTO t_im_directory_missing (source, kind, external_id, run_id)
SELECT $1, $2, id, $4 FROM unnest($3) AS w (id) ORDER BY id
ON CONFLICT (source, kind, external_id) DO NOTHING
