-- The content of events. A message is read from its table. A recalled message is empty.
-- $1 event ids
SELECT e.event_id, e.type, e.channel_id, e.at, e.data,
       m.ms_id, m.seq, m.sender, m.server_time, m.ms_type, c.channel_type,
       CASE WHEN r.ms_id IS NULL THEN m.content ELSE '{}' END AS content, r.ms_id IS NOT NULL AS recalled
FROM unnest($1::bigint[]) AS i (event_id)
CROSS JOIN LATERAL (SELECT * FROM t_im_event WHERE event_id = i.event_id OFFSET 0) AS e
LEFT JOIN LATERAL (
    SELECT *
    FROM t_im_message
    WHERE e.type = 'message.created' AND ms_id = e.ms_id AND ms_id >= (SELECT ms_id FROM t_im_horizon)
    OFFSET 0
) AS m ON true
LEFT JOIN LATERAL (SELECT channel_type FROM t_im_channel WHERE channel_id = m.channel_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (SELECT ms_id FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0) AS r ON true
WHERE e.type <> 'message.created' OR m.ms_id IS NOT NULL
ORDER BY e.event_id
