-- Locks the direct channel of a pair against sends, if there is one.
-- $1 lower user id, $2 higher user id
SELECT channel_id FROM t_im_channel WHERE pair_low = $1 AND pair_high = $2 FOR NO KEY UPDATE
