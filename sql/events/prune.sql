-- Deletes a batch of events that are older than the retention, and the queue rows and dead letters for them.
-- $1 older than, $2 most events
-- events: the number of deleted events; undelivered: the number of deliveries that were still queued for them
WITH old AS (
    DELETE FROM t_im_event
    WHERE event_id = ANY (ARRAY(SELECT event_id FROM (SELECT event_id, at FROM t_im_event ORDER BY event_id LIMIT $2::integer) AS first
                                WHERE at < $1))
    RETURNING event_id
),
waiting AS (
    DELETE FROM t_im_push_queue
    WHERE event_ids[cardinality(event_ids)] <= (SELECT max(event_id) FROM old)
    RETURNING pairs
),
dead AS (
    DELETE FROM t_im_push_dead
    WHERE event_ids[cardinality(event_ids)] <= (SELECT max(event_id) FROM old)
)
SELECT (SELECT count(*) FROM old) AS events, coalesce((SELECT sum(pairs) FROM waiting), 0)::bigint AS undelivered
