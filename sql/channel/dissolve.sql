-- Ends a channel: nothing more is said in it, its members keep its history.
-- $1 channel id, $2 now
UPDATE t_im_channel SET dissolved_at = $2 WHERE channel_id = $1
