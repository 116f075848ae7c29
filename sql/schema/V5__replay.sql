-- Signatures that were believed once (identity_mode = hmac) and are refused from then on, by
-- every replica. Logged like any table: a crash must not open the window again.
CREATE TABLE t_im_replay (
    signature  bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
-- The pruning job goes by age.
CREATE INDEX t_im_replay_expires ON t_im_replay (expires_at);
