-- Sets the last resort of a device.
-- $1 user id, $2 device id, $3 package, $4 when it expires
INSERT INTO t_im_key_package (user_id, device_id, last_resort, package, expires_at)
VALUES ($1, $2, true, $3, $4)
ON CONFLICT (user_id, device_id) WHERE last_resort
DO UPDATE SET package = excluded.package, expires_at = excluded.expires_at
