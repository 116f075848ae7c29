-- Queues the logged events since a time for an observer, out of turn. Events that it has had before are sent again. The
-- observer of an application gets what the application may hear of now.
-- $1 callback id, $2 since, $3 after this event id, $4 most events, $5 now, $6 most events a second, or null
-- $7 whether to count them only
-- events: number of queued events; last: the last event read, to continue after, if there may be more
WITH RECURSIVE observer AS MATERIALIZED (
    SELECT callback_id, event_types, channel_ids, department_ids, batch_events, owner
    FROM t_im_callback c
    WHERE callback_id = $1 AND kind = 'observer'
      AND (owner IS NULL OR EXISTS (SELECT FROM t_im_user WHERE user_id = c.owner AND active OFFSET 0))
),
-- The log is in the order of time, but for the length of a transaction, and for tallies, which can come hours late after
-- an outage. So halving by other events finds one near the beginning, and those before it are not read.
search (low, high) AS (
    SELECT $3::bigint, coalesce(max(event_id), 0) + 1 FROM t_im_event
    UNION ALL
    SELECT CASE WHEN probe.at < $2::timestamptz - interval '10 minutes' THEN probe.event_id ELSE search.low END,
           CASE WHEN probe.at < $2::timestamptz - interval '10 minutes' THEN search.high
                ELSE search.low + (search.high - search.low) / 2 END
    FROM search
    LEFT JOIN LATERAL (
        SELECT event_id, at FROM t_im_event
        WHERE event_id >= search.low + (search.high - search.low) / 2 AND event_id < search.high
          AND type NOT IN ('message.read', 'message.received')
        ORDER BY event_id
        LIMIT 1
    ) AS probe ON true
    WHERE search.high - search.low > 1
),
logged AS MATERIALIZED (
    SELECT e.event_id, e.channel_id, e.actor
    FROM t_im_event e JOIN observer o ON im_takes(o.event_types, e.type)
     AND CASE WHEN o.owner IS NULL
              -- What im_channels_of gives, without a call of it for each event.
              THEN o.channel_ids IS NULL
                OR CASE WHEN e.type = 'message.unreceived' THEN o.channel_ids && im_channels_of(e.type, e.channel_id, e.data)
                        ELSE e.channel_id = ANY (o.channel_ids) END
              ELSE EXISTS (
                  SELECT FROM im_about(e.type, e.channel_id, e.seq, e.data) AS a
                  WHERE (o.channel_ids IS NULL OR a.channel_id = ANY (o.channel_ids))
                    AND (o.owner = ANY (e.audience)
                         OR EXISTS (SELECT FROM v_im_visible v
                                    WHERE v.channel_id = a.channel_id AND v.user_id = o.owner
                                      AND im_hears(a.seq, e.at, v.sees_from_seq, v.to_seq, v.joined_at) OFFSET 0))) END
    WHERE e.at >= $2 AND e.event_id > (SELECT max(low) FROM search) AND e.type <> 'callback.test'
    ORDER BY e.event_id
    LIMIT $4::integer
),
-- As in events/sequence.sql: an actor belongs to their department and to its ancestors.
department AS (
    WITH RECURSIVE up (actor, department_id) AS (
        SELECT l.actor, u.department_id
        FROM (SELECT DISTINCT actor FROM logged l
              WHERE EXISTS (SELECT FROM observer WHERE department_ids IS NOT NULL)) AS l
        CROSS JOIN LATERAL (SELECT department_id FROM t_im_user WHERE user_id = l.actor OFFSET 0) AS u
        WHERE u.department_id IS NOT NULL
        UNION
        SELECT up.actor, d.parent_id
        FROM up
        CROSS JOIN LATERAL (SELECT parent_id FROM t_im_department WHERE department_id = up.department_id OFFSET 0) AS d
        WHERE d.parent_id IS NOT NULL
    )
    SELECT actor, array_agg(department_id) AS department_ids FROM up GROUP BY actor
),
taken AS (
    SELECT l.event_id, o.batch_events, row_number() OVER (ORDER BY l.event_id) - 1 AS before
    FROM logged l CROSS JOIN observer o
    LEFT JOIN department d ON d.actor = l.actor
    WHERE o.department_ids IS NULL OR o.department_ids && d.department_ids
),
queued AS (
    INSERT INTO t_im_push_queue (callback_id, channel_id, event_ids, pairs, bytes, in_turn, queued_at, set_at, due_at)
    SELECT $1, 0, array_agg(event_id ORDER BY event_id), count(*), 0, false, $5::timestamptz, $5,
           $5::timestamptz + coalesce(min(before) * interval '1 second' / $6::integer, '0')
    FROM taken
    WHERE NOT $7::boolean
    GROUP BY before / batch_events
    ORDER BY min(event_id)
)
SELECT (SELECT count(*) FROM taken) AS events,
       (SELECT max(event_id) FROM logged HAVING count(*) >= $4::integer) AS last
