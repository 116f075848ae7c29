-- Records the first use of a signature. No inserted row means a replay.
-- $1 the signature, $2 when no replica accepts its timestamp any more
INSERT INTO t_im_replay (signature, expires_at)
VALUES ($1::bytea, $2::timestamptz)
ON CONFLICT (signature) DO NOTHING
