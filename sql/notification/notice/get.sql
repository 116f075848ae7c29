-- A notification of an application.
-- $1 application, $2 notification id
SELECT notification_id, client_id, created_at, ms_type, content, topic, data, ref, urgent, send_at, expires_at, receivers,
       sent, failed, recalled_at, is_open, failure
FROM t_im_notification
WHERE notification_id = $2 AND sender = $1
