-- One page of an application's notifications, newest first.
-- $1 application, $2 created from this time on, or null, $3 below this id, $4 limit
SELECT notification_id, client_id, created_at, ms_type, content, topic, data, ref, urgent, send_at, expires_at, receivers,
       sent, failed, recalled_at, is_open, failure
FROM t_im_notification
WHERE sender = $1 AND notification_id < $3 AND ($2::timestamptz IS NULL OR created_at >= $2)
ORDER BY notification_id DESC
LIMIT $4
