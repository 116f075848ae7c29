-- Takes one key package of each device of a user, or of one device: the oldest single-use one, which is taken then, or else
-- the last resort. Claims that run at once take different ones.
-- $1 user id, $2 device id, or null, $3 now
WITH device AS (
    SELECT DISTINCT device_id FROM t_im_key_package
    WHERE user_id = $1 AND ($2::text IS NULL OR device_id = $2) AND NOT taken AND expires_at > $3
),
oldest AS MATERIALIZED (
    SELECT one.package_id
    FROM device
    CROSS JOIN LATERAL (
        SELECT package_id FROM t_im_key_package p
        WHERE p.user_id = $1 AND p.device_id = device.device_id AND NOT p.last_resort AND NOT p.taken AND p.expires_at > $3
        ORDER BY package_id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS one
),
taken AS (
    UPDATE t_im_key_package SET taken = true WHERE package_id = ANY (ARRAY(SELECT package_id FROM oldest))
    RETURNING device_id, package
)
SELECT device_id, package, false AS last_resort FROM taken
UNION ALL
SELECT device_id, package, true FROM t_im_key_package
WHERE user_id = $1 AND ($2::text IS NULL OR device_id = $2) AND last_resort AND expires_at > $3
  AND device_id NOT IN (SELECT device_id FROM taken)
ORDER BY device_id
