-- One page of the log, only events for streams.
-- $1 after this event, $2 up to this one, $3 limit
SELECT event_id, type, channel_id, seq, audience
FROM t_im_event
WHERE event_id > $1 AND event_id <= $2
  AND (type IN ('message.created', 'message.recalled', 'message.read') OR type LIKE 'channel.%')
ORDER BY event_id
LIMIT $3
