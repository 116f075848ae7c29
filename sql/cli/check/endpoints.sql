-- The endpoints that get nothing now: whether the gateway is paused, and how many observers are disabled.
SELECT COALESCE(bool_or(state = 'paused') FILTER (WHERE callback_id = 'gateway'), false) AS gateway_paused,
       count(*) FILTER (WHERE callback_id <> 'gateway' AND state = 'disabled' AND removed_at IS NULL) AS disabled
FROM t_im_callback
