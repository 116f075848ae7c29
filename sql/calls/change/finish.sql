-- Ends a call. What was kept for its users goes.
-- $1 call id, $2 outcome, $3 now
WITH forgotten AS (
    DELETE FROM t_im_call_data WHERE call_id = $1
)
UPDATE t_im_call SET state = 'ended', outcome = $2, ended_at = $3 WHERE call_id = $1 AND state <> 'ended'
