-- Delays an endpoint's next batch by the time that this batch takes at the endpoint's rate. The endpoint is locked,
-- and its previous delay is over.
-- $1 callback id, $2 pairs of this batch, $3 now
UPDATE t_im_callback
SET paced_until = $3::timestamptz + $2::bigint * interval '1 second' / events_per_second, paced_at = $3
WHERE callback_id = $1 AND events_per_second IS NOT NULL
