-- Takes the changed records into a run, also those that a failed run had taken.
-- $1 run id
WITH taken AS (
    UPDATE t_im_directory_changed SET run_id = $1 RETURNING kind, external_id
)
SELECT coalesce(array_agg(external_id ORDER BY external_id) FILTER (WHERE kind = 'user'), '{}') AS users,
       coalesce(array_agg(external_id ORDER BY external_id) FILTER (WHERE kind = 'department'), '{}') AS departments
FROM taken
