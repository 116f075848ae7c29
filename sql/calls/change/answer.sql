-- A call is accepted for the first time.
-- $1 call id, $2 now
UPDATE t_im_call SET state = 'live', answered_at = $2 WHERE call_id = $1 AND state = 'ringing'
