-- Whether a step is due.
-- $1 now
SELECT EXISTS (SELECT FROM t_im_notification WHERE is_open AND (send_at <= $1 OR recalled_at IS NOT NULL))
