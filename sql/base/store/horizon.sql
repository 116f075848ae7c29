-- The horizon and the sealed id. A shared seal lock keeps both from moving.
SELECT ms_id, sealed_ms_id FROM t_im_horizon
