-- What a call created under the caller's client id, so that a repeated call creates nothing. Kept as long as
-- the client ids of messages, which have a table of their own.
CREATE TABLE t_im_claim (
    caller    text COLLATE "C" NOT NULL,
    -- What is created: a group, a callback, a secret of a callback, a directory run.
    call      text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    digest    bytea NOT NULL,
    made_id   bigint NOT NULL,
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (caller, call, client_id)
);
CREATE INDEX t_im_claim_age ON t_im_claim (made_at);
