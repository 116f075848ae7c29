-- One page of an endpoint's dead letters, newest first.
-- $1 callback id, $2 before this id, $3 limit, $4 the beginning of the reason, or null
-- $5 dead since, or null, $6 dead before, or null
SELECT dead_id, channel_id, from_ms_id, to_ms_id, event_ids, pairs, reason, dead_at
FROM t_im_push_dead
WHERE callback_id = $1 AND dead_id < $2
  AND ($4::text IS NULL OR starts_with(reason, $4))
  AND ($5::timestamptz IS NULL OR dead_at >= $5) AND ($6::timestamptz IS NULL OR dead_at < $6)
ORDER BY dead_id DESC
LIMIT $3
