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
numbered AS MATERIALIZED (
    SELECT single.*, h.last_event_id + row_number() OVER (ORDER BY new_id, seq) AS event_id
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
observer AS MATERIALIZED (
    SELECT callback_id, event_types, channel_ids, department_ids, batch_events, owner
    FROM t_im_callback c
    WHERE kind = 'observer' AND state <> 'disabled'
      AND (owner IS NULL OR EXISTS (SELECT FROM t_im_user WHERE user_id = c.owner AND active OFFSET 0))
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
wanted AS (
    SELECT o.callback_id, o.batch_events, coalesce(n.channel_id, 0) AS channel_id, n.event_id, n.at, n.bytes,
           row_number() OVER in_channel - 1 AS before, sum(n.bytes) OVER in_channel - n.bytes AS bytes_before
    FROM observer o
    JOIN numbered n ON im_takes(o.event_types, n.type) AND (o.channel_ids IS NULL OR o.channel_ids && im_channels_of(n.type, n.channel_id, n.data))
     AND (o.owner IS NULL
          OR im_owner_hears(o.owner, n.type, im_channels_of(n.type, n.channel_id, n.data), n.seq, n.audience, n.at))
    LEFT JOIN department d ON d.actor = n.actor
    WHERE o.department_ids IS NULL OR o.department_ids && d.department_ids
    WINDOW in_channel AS (PARTITION BY o.callback_id, n.channel_id ORDER BY n.event_id)
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
