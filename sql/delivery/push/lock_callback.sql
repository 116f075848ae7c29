-- Locks an endpoint, so that its batches are made one at a time. Reads its state and its rate.
-- $1 callback id, $2 now
SELECT state, events_per_second, CASE WHEN NOT im_stepped_back(paced_at, $2) THEN paced_until END AS paced_until, failing_since FROM t_im_callback WHERE callback_id = $1 FOR UPDATE
