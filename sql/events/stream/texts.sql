-- The content of events, with the type and name of their channel: the present name, or the name at that time for events
-- that removed members get. A message is read from its table. A recalled message is empty.
-- $1 event ids, $2 their reader, or null for several readers
SELECT e.event_id, e.type, e.channel_id, e.at, e.data, c.channel_type,
       CASE WHEN cardinality(e.audience) > 0 THEN e.channel_name ELSE c.channel_name END AS channel_name,
       m.ms_id, m.seq, m.sender, u.name AS sender_name, m.server_time, m.ms_type,
       CASE WHEN r.ms_id IS NULL THEN m.content ELSE '{}' END AS content,
       CASE WHEN r.ms_id IS NOT NULL THEN '{}' WHEN m.extra ? 'reply_to' THEN im_shown_extra(m.extra, m.channel_id, $2) ELSE m.extra END AS extra, r.ms_id IS NOT NULL AS recalled
FROM unnest($1::bigint[]) AS i (event_id)
CROSS JOIN LATERAL (SELECT * FROM t_im_event WHERE event_id = i.event_id OFFSET 0) AS e
LEFT JOIN LATERAL (SELECT channel_type, channel_name FROM t_im_channel WHERE channel_id = e.channel_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (
    SELECT *
    FROM t_im_message
    WHERE e.type IN ('message.created', 'message.updated') AND ms_id = e.ms_id AND ms_id >= (SELECT ms_id FROM t_im_horizon)
    OFFSET 0
) AS m ON true
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = m.sender OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT ms_id FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0) AS r ON true
WHERE e.type NOT IN ('message.created', 'message.updated') OR m.ms_id IS NOT NULL
ORDER BY e.event_id
