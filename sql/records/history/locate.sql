-- The channel of a hot message, and its seq.
-- $1 ms_id
SELECT channel_id, seq FROM t_im_message WHERE ms_id = $1 AND ms_id >= (SELECT ms_id FROM t_im_horizon)
