-- Adds single-use key packages of a device. One that is there already is kept as it is.
-- $1 user id, $2 device id, $3 packages, $4 when they expire
INSERT INTO t_im_key_package (user_id, device_id, last_resort, package, expires_at)
SELECT $1::text, $2::text, false, given.package, $4::timestamptz
FROM unnest($3::bytea[]) WITH ORDINALITY AS given (package, position)
ORDER BY position
ON CONFLICT (user_id, sha256(package)) WHERE NOT last_resort DO NOTHING
