-- Locks an instance and checks again whether it is silent. A silent instance must send a new snapshot. After
-- the clock went back, the silence counts from now.
-- $1 gateway, $2 silent before, $3 now
UPDATE t_im_presence_gateway
SET heard_at = least(heard_at, $3), complete = complete AND heard_at >= $2
WHERE gateway = $1
RETURNING kept_from, heard_at < $2 AS silent
