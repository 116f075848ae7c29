-- The channel of a call.
-- $1 call id
SELECT channel_id FROM t_im_call WHERE call_id = $1
