-- One dead letter with its items, without message content.
-- $1 callback id, $2 dead letter id, $3 most items
-- $4 whether only since the URL or a filter of the callback changed
SELECT d.dead_id, d.channel_id, d.from_ms_id, d.to_ms_id, d.from_seq, d.to_seq, d.event_ids[1:$3::integer] AS event_ids,
       d.receivers[1:$3::integer] AS receivers, d.pairs, d.reason, d.dead_at,
       ARRAY(SELECT e.type FROM t_im_event e WHERE e.event_id = ANY (d.event_ids[1:$3::integer]) ORDER BY e.event_id) AS event_types
FROM t_im_push_dead d
WHERE d.callback_id = $1 AND d.dead_id = $2
  AND (NOT $4::boolean OR d.dead_at >= coalesce((SELECT aimed_at FROM t_im_callback WHERE callback_id = $1), '-infinity'))
