-- Deletes a gone instance that holds no users.
-- $1 gateway
DELETE FROM t_im_presence_gateway g
WHERE g.gateway = $1 AND NOT EXISTS (SELECT FROM t_im_presence p WHERE p.gateway = $1)
