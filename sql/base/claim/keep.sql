-- Records what was created under a client id, unless the id is taken. Waits for a transaction that is using
-- the same id.
-- $1 caller, $2 call, $3 client id, $4 digest, $5 made id, $6 now
INSERT INTO t_im_claim (caller, call, client_id, digest, made_id, made_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (caller, call, client_id) DO NOTHING
