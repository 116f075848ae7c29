-- Locks the notification whose step is next: urgent ones first, then those with the fewest pages done, so that small
-- ones do not wait for large ones. Skips those that another replica works on, and those that pause after a failed step. A
-- pause that began before the clock stepped back is over.
-- $1 now
SELECT notification_id, sender, ms_type, content, topic, data, ref, urgent, step_kinds, step_after_s, next_page, pages, recalled_at,
       coalesce(expires_at <= $1, false) AS is_expired
FROM t_im_notification
WHERE is_open AND (send_at <= $1 OR recalled_at IS NOT NULL)
  AND (paused_until IS NULL OR paused_until <= $1 OR im_stepped_back(paused_at, $1))
ORDER BY urgent DESC, next_page, notification_id
LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
