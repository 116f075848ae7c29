-- Puts a notification back whose step failed. Each failure in a row doubles the pause, up to the longest one. After too
-- many the notification ends.
-- $1 notification id, $2 now, $3 reason, $4 failures after which it ends, $5 first and $6 longest pause in milliseconds
UPDATE t_im_notification
SET failures = failures + 1, failure = $3, is_open = failures + 1 < $4::integer, paused_at = $2::timestamptz,
    paused_until = $2::timestamptz + least($5::bigint * 2 ^ least(failures, 30), $6::bigint) * interval '1 millisecond'
WHERE notification_id = $1 AND is_open
RETURNING failures, is_open
