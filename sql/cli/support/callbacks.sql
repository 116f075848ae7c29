-- The endpoints with their queues, and the attempts of the last day by result, for a support archive. It leaves out
-- descriptions, headers, filters, owners and answers. The caller shortens the addresses.
SELECT coalesce(jsonb_agg(jsonb_build_object(
           'callback_id', c.callback_id, 'kind', c.kind, 'url', c.url, 'from_settings', c.from_settings,
           'of_application', c.owner IS NOT NULL, 'state', c.state, 'failing_since', c.failing_since,
           'disabled_reason', c.disabled_reason, 'removed_at', c.removed_at, 'created_at', c.created_at,
           'updated_at', c.updated_at, 'revision', c.revision, 'event_types', c.event_types,
           'channels_in_filter', cardinality(c.channel_ids), 'departments_in_filter', cardinality(c.department_ids),
           'has_headers', c.headers IS NOT NULL, 'timeout_ms', c.timeout_ms, 'concurrency', c.concurrency,
           'without_answer', c.without_answer, 'sender_kinds', c.sender_kinds,
           'batch_events', c.batch_events, 'events_per_second', c.events_per_second, 'paced_until', c.paced_until,
           'secrets', (SELECT count(*) FROM t_im_callback_secret s WHERE s.callback_id = c.callback_id),
           'queue', (SELECT jsonb_build_object('rows', count(*), 'pairs', coalesce(sum(pairs), 0), 'oldest', min(queued_at),
                                               'retries', coalesce(max(retries), 0))
                     FROM t_im_push_queue q WHERE q.callback_id = c.callback_id),
           'batches', (SELECT jsonb_build_object('rows', count(*), 'pairs', coalesce(sum(pairs), 0), 'oldest', min(queued_at),
                                                 'most_attempts', coalesce(max(attempts), 0),
                                                 'leased', count(*) FILTER (WHERE lease_until > now))
                       FROM t_im_push_batch b WHERE b.callback_id = c.callback_id),
           'dead_letters', (SELECT count(*) FROM t_im_push_dead l WHERE l.callback_id = c.callback_id),
           'last_day', a.results) ORDER BY c.callback_id), '[]') AS found
FROM t_im_callback c
CROSS JOIN im_clock() AS now
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.attempts DESC), '[]') AS results
    FROM (SELECT http_status, error, count(*) AS attempts, max(attempted_at) AS last_at, max(duration_ms) AS longest_ms,
                 sum(pairs) AS pairs, sum(received) AS received, sum(offline) AS offline, sum(rejected) AS rejected,
                 sum(retried) AS retried, sum(unknown) AS unknown
          FROM t_im_push_attempt
          WHERE callback_id = c.callback_id AND attempted_at > now - interval '1 day'
          GROUP BY http_status, error) AS r
) AS a
