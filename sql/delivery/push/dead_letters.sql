-- One page of an endpoint's dead letters, newest first.
-- $1 callback id, $2 before this id, $3 limit
SELECT dead_id, channel_id, from_ms_id, to_ms_id, event_ids, pairs, reason, dead_at
FROM t_im_push_dead
WHERE callback_id = $1 AND dead_id < $2
ORDER BY dead_id DESC
LIMIT $3
