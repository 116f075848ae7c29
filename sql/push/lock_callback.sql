-- Batches of an endpoint are made one at a time, and only while it is to get any.
-- $1 callback id
SELECT state, events_per_second, paced_until, failing_since FROM t_im_callback WHERE callback_id = $1 FOR UPDATE
