-- What is cold, and what is sealed. Neither moves while the seal lock is shared.
SELECT ms_id, sealed_ms_id FROM t_im_horizon
