-- Changes of one receiver that documents of cold messages may not have yet: single messages, and ranges.
-- $1 receiver
SELECT ms_id, NULL::bigint AS channel_id, NULL::bigint AS from_seq, NULL::bigint AS to_seq, status
FROM t_im_receipt_pending WHERE receiver = $1 AND ms_id < (SELECT ms_id FROM t_im_horizon)
UNION ALL
SELECT NULL, channel_id, from_seq, to_seq, status
FROM t_im_read WHERE user_id = $1 AND from_ms_id < (SELECT ms_id FROM t_im_horizon)
