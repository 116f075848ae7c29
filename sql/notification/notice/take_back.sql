-- Recalls a notification: what is not sent is not sent, and the steps begin again and recall what was sent. Its content
-- is gone. Waits for a step under way. No row: unknown, or recalled before.
-- $1 application, $2 notification id, $3 now
UPDATE t_im_notification SET recalled_at = $3, content = '{}', next_page = 0, is_open = pages > 0
WHERE notification_id = $2 AND sender = $1 AND recalled_at IS NULL
RETURNING sent
