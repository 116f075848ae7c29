-- Users of a locked instance whose generation is released.
-- $1 gateway, $2 after this user, $3 below this generation, $4 most users
SELECT user_id FROM t_im_presence
WHERE gateway = $1 AND user_id > $2 AND generation < $3
ORDER BY user_id LIMIT $4
