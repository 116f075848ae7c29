-- Waits of steps that were set before the clock stepped back begin again.
-- $1 now, $2 most steps
UPDATE t_im_escalation
SET due_at = $1::timestamptz + after_s * interval '1 second', set_at = $1
WHERE escalation_id = ANY (ARRAY(
    SELECT escalation_id FROM t_im_escalation WHERE set_at > $1::timestamptz + interval '1 minute' ORDER BY set_at LIMIT $2::integer))
