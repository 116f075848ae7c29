-- The events that a user has missed in one range of the log. Also the end of the range, whether it is the
-- last, and the values that tell whether the log is still complete there.
-- $1 user id, $2 the last event that the user has, $3 the last event to read, or null
-- $4 most events of the log to read
WITH head AS MATERIALIZED (
    SELECT last_event_id, complete_from, least($3::bigint, last_event_id) AS up_to FROM t_im_event_head
),
stretch AS MATERIALIZED (
    SELECT e.event_id, e.type, e.channel_id, e.seq, e.audience, e.at
    FROM t_im_event e
    WHERE e.event_id > $2 AND e.event_id <= (SELECT up_to FROM head)
    ORDER BY e.event_id
    LIMIT $4
),
reached AS MATERIALIZED (
    SELECT CASE WHEN count(*) < $4 THEN greatest((SELECT up_to FROM head), $2) ELSE max(event_id) END AS event_id
    FROM stretch
)
SELECT head.last_event_id, head.complete_from,
       (SELECT min(event_id) FROM t_im_event) AS oldest,
       reached.event_id AS reached,
       reached.event_id >= head.up_to AS is_last,
       ARRAY(
           SELECT e.event_id
           FROM stretch e
           WHERE (e.type IN ('message.created', 'message.recalled', 'message.updated', 'message.read', 'relation.changed') OR e.type LIKE 'channel.%' OR e.type LIKE 'call.%')
             AND ($1 = ANY (e.audience) OR EXISTS (
                 SELECT FROM v_im_visible v
                 WHERE v.channel_id = e.channel_id AND v.user_id = $1
                   AND CASE WHEN e.seq IS NULL THEN v.to_seq IS NULL AND (e.type NOT LIKE 'call.%' OR v.joined_at <= e.at)
                            ELSE e.seq >= CASE WHEN e.type IN ('message.recalled', 'message.updated') THEN v.sees_from_seq ELSE v.from_seq END
                                 AND (v.to_seq IS NULL OR e.seq <= v.to_seq) END))
           ORDER BY e.event_id
       ) AS event_ids
FROM head CROSS JOIN reached
