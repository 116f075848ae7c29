-- The work that runs on one replica at a time, for a support archive. A holder is a number made at its start.
SELECT jsonb_build_object(
    'leases', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'holder', holder, 'epoch', epoch, 'until', until)
                                         ORDER BY name), '[]') FROM t_im_lease),
    'schedules', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', name, 'begun_at', begun_at) ORDER BY name), '[]')
                  FROM t_im_schedule),
    'restored_at', (SELECT restored_at FROM t_im_database)) AS found
