-- How far the archive is: the horizon, its last runs and the days of each, for a support archive.
-- $1 number of runs
SELECT jsonb_build_object(
    'horizon', (SELECT jsonb_build_object('cold_below_ms_id', ms_id, 'cold_until', im_minted_at(ms_id),
                                          'sealed_below_ms_id', sealed_ms_id, 'sealed_until', im_minted_at(sealed_ms_id))
                FROM t_im_horizon),
    'adopted', (SELECT jsonb_build_object('archive_id', archive_id, 'walk_ms_id', walk_ms_id) FROM t_im_archive),
    'runs', (SELECT coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('day_list', d.days) ORDER BY r.run_id DESC), '[]')
             FROM (SELECT run_id, asked_by, asked_at, ended_at, outcome, days, messages, ledger_rows, doing
                   FROM t_im_archive_run ORDER BY run_id DESC LIMIT $1) AS r
             CROSS JOIN LATERAL (
                 SELECT coalesce(jsonb_agg(jsonb_build_object(
                            'day', day, 'step', step, 'messages', messages, 'documents', documents,
                            'ledger_rows', ledger_rows, 'sealed_at', sealed_at, 'switched_at', switched_at,
                            'dropped_at', dropped_at) ORDER BY day), '[]') AS days
                 FROM t_im_archive_day WHERE run_id = r.run_id) AS d)) AS found
