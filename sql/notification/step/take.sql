-- Locks the notification whose step is next: urgent ones first, then those with the fewest pages done, so that small
-- ones do not wait for large ones. Skips those that another replica works on.
-- $1 now
SELECT notification_id, sender, ms_type, content, urgent, step_kinds, step_after_s, next_page, pages, recalled_at,
       coalesce(expires_at <= $1, false) AS is_expired
FROM t_im_notification
WHERE is_open AND (send_at <= $1 OR recalled_at IS NOT NULL)
ORDER BY urgent DESC, next_page, notification_id
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
