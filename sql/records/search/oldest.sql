-- The oldest hot message; null if there is none.
SELECT min(ms_id) AS ms_id FROM t_im_message WHERE ms_id >= (SELECT ms_id FROM t_im_horizon)
