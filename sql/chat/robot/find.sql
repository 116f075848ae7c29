-- The robot of an address, and the time by which its signature is judged.
-- $1 hash of the token
SELECT robot_id, channel_id, user_id, must_sign, salt, im_clock() AS now FROM t_im_robot WHERE token_hash = $1
