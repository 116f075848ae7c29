-- Keeps what is made under an id, unless something was: then nothing is written. It waits for whoever is
-- making something under it.
-- $1 caller, $2 call, $3 client id, $4 digest, $5 made id, $6 now
INSERT INTO t_im_claim (caller, call, client_id, digest, made_id, made_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (caller, call, client_id) DO NOTHING
