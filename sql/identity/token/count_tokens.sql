-- Counts the tokens, including expired ones.
SELECT count(*) AS tokens FROM t_im_token
