-- Records which records changed at the source, once each, until a run has read them again.
-- $1 external ids of users, $2 of departments
INSERT INTO t_im_directory_changed (kind, external_id)
SELECT kind, id
FROM (SELECT 'user' AS kind, unnest($1::text[]) AS id UNION SELECT 'department', unnest($2::text[])) AS named
ORDER BY kind, id
ON CONFLICT (kind, external_id) DO UPDATE SET run_id = NULL
