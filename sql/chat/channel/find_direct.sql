-- The direct channel of a pair.
-- $1 lower user id, $2 higher user id
SELECT channel_id FROM t_im_channel WHERE pair_low = $1 AND pair_high = $2
