-- Counts the endpoints, and those of an application, and says whether the gateway and the gate are among them.
-- $1 application, or null
SELECT count(*) AS callbacks, count(*) FILTER (WHERE owner = $1::text) AS own, coalesce(bool_or(kind = 'gateway'), false) AS gateway,
       coalesce(bool_or(kind = 'gate'), false) AS gate
FROM t_im_callback
WHERE url IS NOT NULL AND removed_at IS NULL
