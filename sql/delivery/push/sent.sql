-- An attempt whose events are kept: its batch, and how many events its request held.
-- $1 callback id, $2 attempt id, $3 whether only since the URL or a filter of the callback changed
SELECT batch_id, cardinality(event_ids)::bigint AS events
FROM t_im_push_attempt
WHERE attempt_id = $2 AND callback_id = $1 AND event_ids IS NOT NULL
  AND (NOT $3::boolean OR attempted_at >= coalesce((SELECT aimed_at FROM t_im_callback WHERE callback_id = $1), '-infinity'))
