-- Whom an instance, which is locked, holds of the generations that are let go.
-- $1 gateway, $2 after whom, $3 below which generation, $4 most
SELECT user_id FROM t_im_presence
WHERE gateway = $1 AND user_id > $2 AND generation < $3
ORDER BY user_id LIMIT $4
