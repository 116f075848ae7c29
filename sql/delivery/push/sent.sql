-- An attempt whose events are kept: its batch, and how many events its request held.
-- $1 callback id, $2 attempt id
SELECT batch_id, cardinality(event_ids)::bigint AS events
FROM t_im_push_attempt
WHERE attempt_id = $2 AND callback_id = $1 AND event_ids IS NOT NULL
