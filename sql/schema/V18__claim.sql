-- What a call made under an id of its caller's, so that the call repeated makes nothing new. Kept as long
-- as the client ids of messages, which have a table of their own.
CREATE TABLE t_im_claim (
    caller    text COLLATE "C" NOT NULL,
    -- What is made: a group, a callback, a secret of one, a run of the directory.
    call      text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    digest    bytea NOT NULL,
    made_id   bigint NOT NULL,
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (caller, call, client_id)
);
CREATE INDEX t_im_claim_age ON t_im_claim (made_at);
