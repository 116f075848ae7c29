-- What a call that created a notification was answered.
-- $1 notification id
SELECT notification_id, receivers, problems, replaced FROM t_im_notification WHERE notification_id = $1
