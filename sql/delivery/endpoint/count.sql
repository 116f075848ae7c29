-- Counts the endpoints, and says whether one of them is the gateway.
SELECT count(*) AS callbacks, coalesce(bool_or(kind = 'gateway'), false) AS gateway
FROM t_im_callback
WHERE url IS NOT NULL AND removed_at IS NULL
