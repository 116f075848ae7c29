-- One page of the log, only events for streams. For reads it has the readers, if the event names all of them.
-- $1 after this event, $2 up to this one, $3 limit
SELECT event_id, type, channel_id, seq, audience,
       CASE WHEN type = 'message.read' AND jsonb_array_length(data -> 'readers') = (data ->> 'people')::bigint
            THEN ARRAY(SELECT jsonb_array_elements_text(data -> 'readers')) END AS readers
FROM t_im_event
WHERE event_id > $1 AND event_id <= $2
  AND (type IN ('message.created', 'message.recalled', 'message.updated', 'message.read', 'relation.changed') OR type LIKE 'channel.%' OR type LIKE 'call.%')
ORDER BY event_id
LIMIT $3
