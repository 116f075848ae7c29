-- The last directory runs, for a support archive: counts and times. It leaves out the record of each problem, and the
-- administrator who approved or cancelled a run.
-- $1 number of runs
SELECT jsonb_build_object(
    'runs', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.run_id DESC), '[]')
             FROM (SELECT run_id, mode, asked_by, dry_run, asked_at, ended_at, state, staged, applied, counts, problems,
                          CASE WHEN detail ^@ 'cancelled by ' THEN 'cancelled' ELSE detail END AS detail,
                          approved_by IS NOT NULL AS approved, token IS NOT NULL AS has_token
                   FROM t_im_directory_run ORDER BY run_id DESC LIMIT $1) AS r),
    'sources', (SELECT jsonb_build_object('rows', count(*), 'with_token', count(token), 'last_full', max(full_at))
                FROM t_im_directory_source),
    'missing', (SELECT count(*) FROM t_im_directory_missing),
    'revision', (SELECT revision FROM t_im_directory_head),
    'followers', (SELECT coalesce(jsonb_object_agg(follower, revision), '{}') FROM t_im_directory_follower)) AS found
