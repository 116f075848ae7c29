-- Waits of reminders that were set before the clock stepped back begin again.
-- $1 now, $2 milliseconds until a reminder is due, $3 most reminders
UPDATE t_im_reminder
SET due_at = $1::timestamptz + $2::bigint * interval '1 millisecond', set_at = $1, since = least(since, $1)
WHERE user_id = ANY (ARRAY(
    SELECT user_id FROM t_im_reminder
    WHERE due_at IS NOT NULL AND set_at > $1::timestamptz + interval '1 minute' ORDER BY set_at LIMIT $3::integer))
