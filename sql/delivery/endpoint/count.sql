-- Counts the endpoints, and those of an application, and says whether one of them is the gateway.
-- $1 application, or null
SELECT count(*) AS callbacks, count(*) FILTER (WHERE owner = $1::text) AS own, coalesce(bool_or(kind = 'gateway'), false) AS gateway
FROM t_im_callback
WHERE url IS NOT NULL AND removed_at IS NULL
