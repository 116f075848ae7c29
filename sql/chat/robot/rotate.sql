-- Gives a robot another address and another secret. The old ones end at once.
-- $1 channel id, $2 robot id, $3 hash of the token, $4 salt, $5 now
UPDATE t_im_robot SET token_hash = $3, salt = $4, rotated_at = $5 WHERE channel_id = $1 AND robot_id = $2
