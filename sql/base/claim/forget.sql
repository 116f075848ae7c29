-- Deletes the client id of something that was removed before its caller could learn of it.
-- $1 caller, $2 call, $3 client id, $4 made id
DELETE FROM t_im_claim WHERE caller = $1 AND call = $2 AND client_id = $3 AND made_id = $4
