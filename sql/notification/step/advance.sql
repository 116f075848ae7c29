-- Ends a step. The failures before it no longer count.
-- $1 notification id, $2 next page, $3 messages sent by the step, $4 receivers who get none, $5 whether steps are left
UPDATE t_im_notification
SET next_page = $2, sent = sent + $3, failed = failed + $4, is_open = $5,
    failures = 0, failure = NULL, paused_until = NULL, paused_at = NULL
WHERE notification_id = $1
