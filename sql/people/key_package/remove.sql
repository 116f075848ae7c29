-- Removes the key packages of a user, or of one device.
-- $1 user id, $2 device id, or null
DELETE FROM t_im_key_package WHERE user_id = $1 AND ($2::text IS NULL OR device_id = $2)
