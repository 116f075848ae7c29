-- Dissolves a channel. It takes no more messages, and its members keep the history.
-- $1 channel id, $2 now
UPDATE t_im_channel SET dissolved_at = $2 WHERE channel_id = $1
