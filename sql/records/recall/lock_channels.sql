-- Locks the channels of messages against sends and other recalls, in id order.
-- $1 channel ids
SELECT channel_id FROM t_im_channel WHERE channel_id = ANY ($1::bigint[]) ORDER BY channel_id FOR NO KEY UPDATE
