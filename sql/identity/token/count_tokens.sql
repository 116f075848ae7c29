-- Counts the tokens that have not expired.
-- $1 now
SELECT count(*) AS tokens FROM t_im_token WHERE expires_at > $1::timestamptz
