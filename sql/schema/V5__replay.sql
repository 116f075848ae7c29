-- Signatures that were accepted once (identity_mode = hmac). Every replica then refuses them. A logged table,
-- because a crash must not accept them again.
CREATE TABLE t_im_replay (
    signature  bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
-- The pruning job deletes by age.
CREATE INDEX t_im_replay_expires ON t_im_replay (expires_at);
