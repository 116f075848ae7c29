-- What was created under a client id.
-- $1 caller, $2 call, $3 client id
SELECT digest, made_id, made_at FROM t_im_claim WHERE caller = $1 AND call = $2 AND client_id = $3
