-- What waits, how much and since when, for a support archive. Only counts and times.
SELECT jsonb_build_object(
    'now', now,
    'push_commits', (SELECT jsonb_build_object('rows', count(*), 'pairs', coalesce(sum(pairs), 0), 'oldest', min(queued_at),
                                               'held', count(*) FILTER (WHERE held)) FROM t_im_push_commit),
    'index', (SELECT jsonb_build_object('rows', count(*), 'oldest', min(queued_at)) FROM t_im_index_queue),
    'receipts_pending', (SELECT count(*) FROM t_im_receipt_pending),
    'reads_pending', (SELECT count(*) FROM t_im_read),
    'recalls_pending', (SELECT count(*) FROM t_im_recall WHERE NOT archived),
    'events_new', (SELECT jsonb_build_object('rows', count(*), 'oldest', min(at)) FROM t_im_event_new),
    'event_tallies', (SELECT jsonb_build_object('rows', count(*), 'oldest', min(at)) FROM t_im_event_tally),
    'event_log', (SELECT jsonb_build_object('last_event_id', last_event_id, 'complete_from', complete_from)
                  FROM t_im_event_head),
    'escalations', (SELECT jsonb_build_object('rows', count(*), 'due', count(*) FILTER (WHERE due_at <= now),
                                              'oldest_due', min(due_at)) FROM t_im_escalation),
    'notifications', (SELECT jsonb_build_object('open', count(*), 'failing', count(*) FILTER (WHERE failures > 0),
                                                'receivers', coalesce(sum(receivers), 0), 'sent', coalesce(sum(sent), 0),
                                                'oldest_due', min(send_at)) FROM t_im_notification WHERE is_open),
    'directory_edits', (SELECT coalesce(jsonb_object_agg(state, many), '{}')
                        FROM (SELECT state, count(*) AS many FROM t_im_directory_edit GROUP BY state) AS by_state),
    'uploads', (SELECT jsonb_build_object('unfinished', count(*), 'whole', count(*) FILTER (WHERE stored = size))
                FROM t_im_file WHERE state = 'uploading'),
    'presence_gateways', (SELECT jsonb_build_object('rows', count(*), 'last_heard', max(heard_at), 'first_heard', min(heard_at))
                          FROM t_im_presence_gateway)) AS found
FROM im_clock() AS now
