-- Whether a step is due. A pause that began before the clock stepped back is over.
-- $1 now
SELECT EXISTS (SELECT FROM t_im_notification
               WHERE is_open AND (send_at <= $1 OR recalled_at IS NOT NULL)
                 AND (paused_until IS NULL OR paused_until <= $1 OR im_stepped_back(paused_at, $1)))
