-- Recalls a notification: what is not sent is not sent, and the steps begin again and recall what was sent. Its content
-- is gone. The topic stays for these steps, and is not shown. Waits for a step under way. No row: unknown, or recalled
-- before. A recall that has failed begins again.
-- $1 application, $2 notification id, $3 now
UPDATE t_im_notification
SET recalled_at = coalesce(recalled_at, $3), content = '{}', data = NULL, ref = NULL, next_page = 0, is_open = pages > 0,
    failures = 0, failure = NULL, paused_until = NULL, paused_at = NULL
WHERE notification_id = $2 AND sender = $1 AND (recalled_at IS NULL OR NOT is_open AND failure IS NOT NULL)
RETURNING sent
