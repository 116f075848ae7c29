-- The newest dead letter of the gateway that holds a message for a receiver.
-- $1 ms_id, $2 channel id, $3 receiver
SELECT d.dead_id, d.reason, d.dead_at
FROM t_im_push_dead d
JOIN t_im_channel_slot place ON place.channel_id = $2 AND place.user_id = $3
WHERE d.callback_id = 'gateway' AND d.channel_id = $2 AND d.from_ms_id <= $1 AND d.to_ms_id >= $1
  AND (d.receivers IS NULL OR $3 = ANY (d.receivers))
  AND place.slot BETWEEN coalesce(d.from_slot, 0) AND coalesce(d.to_slot, 2147483647)
ORDER BY d.dead_id DESC
LIMIT 1
