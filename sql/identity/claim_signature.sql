-- Believes a signature for the first and only time: no row inserted, a replay.
-- $1 the signature, $2 when no clock of ours accepts its timestamp any more
INSERT INTO t_im_replay (signature, expires_at)
VALUES ($1::bytea, $2::timestamptz)
ON CONFLICT (signature) DO NOTHING
