-- Counts the open notifications of an application.
-- $1 application
SELECT count(*) AS open FROM t_im_notification WHERE sender = $1 AND is_open
