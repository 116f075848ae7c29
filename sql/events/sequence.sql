-- Assigns ids to new events and queues the events for observers. The position of the sequencer is locked, so
-- the ids of a later transaction become visible after these.
-- $1 most events, $2 most bytes of the events of one queue row
-- events: the number of events; more: whether events are left; callbacks: the observers with new events
WITH taken AS (
    DELETE FROM t_im_event_new
    WHERE new_id = ANY (ARRAY(
        -- The first row is always taken. More rows follow until they stand for too many events.
        SELECT new_id
        FROM (SELECT new_id, row_number() OVER in_order AS place,
                     sum(coalesce(to_seq - from_seq + 1, 1)) OVER in_order AS events
              FROM (SELECT new_id, from_seq, to_seq FROM t_im_event_new ORDER BY new_id LIMIT $1::integer) AS oldest
              WINDOW in_order AS (ORDER BY new_id)) AS summed
        WHERE place = 1 OR events <= $1::integer))
    RETURNING *
),
single AS MATERIALIZED (
    SELECT t.new_id, t.type, t.channel_id, coalesce(m.seq, t.from_seq) AS seq, coalesce(m.ms_id, t.from_ms_id) AS ms_id,
           coalesce(m.sender, t.actor) AS actor, t.data, t.audience, t.channel_name, coalesce(m.server_time, t.at) AS at,
           coalesce(m.bytes, pg_column_size(t.data)) AS bytes
    FROM taken t
    LEFT JOIN LATERAL (
        SELECT seq, ms_id, sender, server_time, pg_column_size(content) + pg_column_size(extra) AS bytes
        FROM t_im_message
        WHERE channel_id = t.channel_id AND seq BETWEEN t.from_seq AND t.to_seq
          AND ms_id BETWEEN t.from_ms_id AND t.to_ms_id
        OFFSET 0
    ) AS m ON true
    WHERE t.to_ms_id IS NULL OR m.ms_id IS NOT NULL
),
observer AS MATERIALIZED (
    SELECT callback_id, event_types, channel_ids, department_ids, batch_events, owner
    FROM t_im_callback
    WHERE kind = 'observer' AND state <> 'disabled'
),
numbered AS MATERIALIZED (
    SELECT single.*, h.last_event_id + row_number() OVER (ORDER BY new_id, seq) AS event_id,
           CASE WHEN EXISTS (SELECT FROM observer WHERE channel_ids IS NOT NULL)
                THEN im_channels_of(type, channel_id, data) END AS channel_ids
    FROM single CROSS JOIN t_im_event_head h
),
stored AS (
    INSERT INTO t_im_event (event_id, type, channel_id, seq, ms_id, actor, data, audience, channel_name, at)
    SELECT event_id, type, channel_id, seq, ms_id, actor, data, audience, channel_name, at FROM numbered ORDER BY event_id
),
moved AS (
    UPDATE t_im_event_head h SET last_event_id = n.last
    FROM (SELECT max(event_id) AS last FROM numbered) AS n
    WHERE n.last IS NOT NULL
),
-- The applications that have observers of their own. Without one, nothing is read for them.
owner AS MATERIALIZED (
    SELECT DISTINCT owner AS user_id FROM observer WHERE owner IS NOT NULL
),
-- The channels of the events that such observers take, each with its events. Arrays instead of joins, because a join
-- planned for few events would compare each event with each application.
told AS MATERIALIZED (
    SELECT a.channel_id, array_agg(n.event_id) AS event_ids, array_agg(n.type) AS types,
           array_agg(n.channel_id) AS in_channel_ids, array_agg(a.seq) AS seqs, array_agg(n.actor) AS actors,
           array_agg(n.at) AS ats, array_agg(n.bytes) AS sizes
    FROM numbered n CROSS JOIN LATERAL im_about(n.type, n.channel_id, n.seq, n.data) AS a
    WHERE EXISTS (SELECT FROM owner) AND a.channel_id IS NOT NULL
      AND im_takes(ARRAY(SELECT DISTINCT unnest(event_types) FROM observer WHERE owner IS NOT NULL), n.type)
    GROUP BY a.channel_id
),
-- The applications that are in these channels now, with their observers and what they see of the channel. A small channel
-- is read: a row of it costs about a quarter of a lookup. In a larger one each application is looked up.
listener AS (
    SELECT told.*, o.callback_id, o.event_types, o.batch_events, o.department_ids, v.sees_from_seq, v.to_seq, v.joined_at
    FROM told
    CROSS JOIN LATERAL (
        SELECT member_count <= 4 * (SELECT count(*) FROM owner) AS is_small
        FROM t_im_channel WHERE channel_id = told.channel_id OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
        -- IS TRUE keeps it a lookup in one hash table. Otherwise the planner could look up each application here, too.
        SELECT user_id FROM t_im_channel_user
        WHERE c.is_small AND channel_id = told.channel_id AND to_seq IS NULL AND (user_id IN (SELECT user_id FROM owner)) IS TRUE
        UNION ALL
        SELECT user_id FROM t_im_channel_user
        WHERE NOT c.is_small AND channel_id = told.channel_id AND to_seq IS NULL AND user_id = ANY (ARRAY(SELECT user_id FROM owner))
        OFFSET 0
    ) AS m
    CROSS JOIN LATERAL (
        SELECT * FROM v_im_own_observer
        WHERE owner = m.user_id AND (channel_ids IS NULL OR told.channel_id = ANY (channel_ids))
        OFFSET 0
    ) AS o
    CROSS JOIN LATERAL (
        SELECT sees_from_seq, to_seq, joined_at FROM v_im_visible
        WHERE channel_id = told.channel_id AND user_id = m.user_id
        OFFSET 0
    ) AS v
    -- OFFSET 0: once for a channel. Otherwise the planner could do it for each event.
    OFFSET 0
),
-- The departments of each actor and the departments above them, if an observer filters by department. Each is
-- looked up by key, even with a plan made while there were few users.
department AS (
    WITH RECURSIVE up (actor, department_id) AS (
        SELECT n.actor, u.department_id
        FROM (SELECT DISTINCT actor FROM numbered n
              WHERE EXISTS (SELECT FROM observer WHERE department_ids IS NOT NULL)) AS n
        CROSS JOIN LATERAL (SELECT department_id FROM t_im_user WHERE user_id = n.actor OFFSET 0) AS u
        WHERE u.department_id IS NOT NULL
        UNION
        SELECT up.actor, d.parent_id
        FROM up
        CROSS JOIN LATERAL (SELECT parent_id FROM t_im_department WHERE department_id = up.department_id OFFSET 0) AS d
        WHERE d.parent_id IS NOT NULL
    )
    SELECT actor, array_agg(department_id) AS department_ids FROM up GROUP BY actor
),
subscribed AS (
    SELECT o.callback_id, o.batch_events, NULL::text[] AS department_ids, n.channel_id, n.event_id, n.actor, n.at, n.bytes
    FROM observer o
    JOIN numbered n ON im_takes(o.event_types, n.type) AND (o.channel_ids IS NULL OR o.channel_ids && n.channel_ids)
    LEFT JOIN department d ON d.actor = n.actor
    WHERE o.owner IS NULL AND (o.department_ids IS NULL OR o.department_ids && d.department_ids)
    UNION ALL
    SELECT l.callback_id, l.batch_events, l.department_ids, e.channel_id, e.event_id, e.actor, e.at, e.bytes
    FROM listener l
    CROSS JOIN LATERAL unnest(l.event_ids, l.types, l.in_channel_ids, l.seqs, l.actors, l.ats, l.sizes)
            AS e (event_id, type, channel_id, seq, actor, at, bytes)
    WHERE im_takes(l.event_types, e.type) AND im_hears(e.seq, e.at, l.sees_from_seq, l.to_seq, l.joined_at)
    UNION ALL
    -- Those who were just removed hear of that.
    SELECT o.callback_id, o.batch_events, o.department_ids, n.channel_id, n.event_id, n.actor, n.at, n.bytes
    FROM numbered n
    CROSS JOIN LATERAL unnest(n.audience) AS removed (user_id)
    CROSS JOIN LATERAL (SELECT * FROM v_im_own_observer WHERE owner = removed.user_id OFFSET 0) AS o
    WHERE EXISTS (SELECT FROM owner) AND (removed.user_id IN (SELECT user_id FROM owner)) IS TRUE
      AND im_takes(o.event_types, n.type) AND (o.channel_ids IS NULL OR n.channel_id = ANY (o.channel_ids))
),
-- An application can hear of an event by several channels, or by several rows of what it sees.
once AS (
    SELECT DISTINCT ON (callback_id, channel_id, event_id) * FROM subscribed ORDER BY callback_id, channel_id, event_id
),
wanted AS (
    SELECT o.callback_id, o.batch_events, coalesce(o.channel_id, 0) AS channel_id, o.event_id, o.at, o.bytes,
           row_number() OVER in_channel - 1 AS before, sum(o.bytes) OVER in_channel - o.bytes AS bytes_before
    FROM once o
    -- Only an administrator can have given this filter to the observer of an application.
    WHERE o.department_ids IS NULL OR o.department_ids && (SELECT d.department_ids FROM department d WHERE d.actor = o.actor)
    WINDOW in_channel AS (PARTITION BY o.callback_id, o.channel_id ORDER BY o.event_id)
),
queued AS (
    INSERT INTO t_im_push_queue (callback_id, channel_id, event_ids, pairs, bytes, queued_at, due_at)
    SELECT callback_id, channel_id, array_agg(event_id ORDER BY event_id), count(*), sum(bytes), min(at), min(at)
    FROM wanted
    GROUP BY callback_id, channel_id, before / batch_events, bytes_before / $2::integer
    ORDER BY min(event_id)
    RETURNING callback_id
)
SELECT (SELECT count(*) FROM numbered) AS events,
       EXISTS (SELECT FROM t_im_event_new WHERE new_id > (SELECT max(new_id) FROM taken)) AS more,
       ARRAY(SELECT DISTINCT callback_id FROM queued) AS callbacks
