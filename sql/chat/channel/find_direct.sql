-- The direct channel of a pair, and whether it is encrypted.
-- $1 lower user id, $2 higher user id
SELECT channel_id, mls_epoch IS NOT NULL AS encrypted FROM t_im_channel WHERE pair_low = $1 AND pair_high = $2
