-- The robot of an address.
-- $1 hash of the token
SELECT robot_id, channel_id, user_id, must_sign, salt FROM t_im_robot WHERE token_hash = $1
