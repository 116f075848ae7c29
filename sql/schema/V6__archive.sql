-- Statuses of messages below sealed_ms_id no longer change in the ledger. Later receipts, reads and recalls
-- wait in t_im_receipt_pending, t_im_read and t_im_recall. Reads of messages overlay them, and they go into
-- the archive once the messages are cold. Transactions that write statuses share the advisory lock below.
-- Sealing and switching take it exclusively, so neither id moves while it is shared.
ALTER TABLE t_im_horizon ADD COLUMN sealed_ms_id bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT horizon_is_sealed CHECK (ms_id <= sealed_ms_id);
CREATE FUNCTION im_seal_lock() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtext('im_seal')::bigint
$$;

-- Work that runs on one replica at a time. The epoch stops a replica that lost its lease without noticing.
CREATE TABLE t_im_lease (
    name   text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    epoch  bigint NOT NULL,
    until  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The archive of this database, by the id that the archive has given itself. Messages from walk_ms_id on
-- still have to be indexed from the tables; with a new archive, all of them.
CREATE TABLE t_im_archive (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    archive_id text NOT NULL,
    walk_ms_id bigint
);

-- Messages that the archive does not have yet: one row for each commit, deleted when they are indexed.
CREATE TABLE t_im_index_queue (
    queue_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ms_ids    bigint[] NOT NULL,
    queued_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A run of the archiver. The schedule or an administrator asks for it; it ends when its days are dropped.
CREATE TABLE t_im_archive_run (
    run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL,
    ended_at    timestamptz,
    outcome     text,
    days        integer NOT NULL DEFAULT 0,
    messages    bigint NOT NULL DEFAULT 0,
    ledger_rows bigint NOT NULL DEFAULT 0,
    -- What it does, what it waits for, or why it failed.
    doing       text,
    CONSTRAINT run_asked_by_known CHECK (asked_by IN ('schedule', 'hand')),
    CONSTRAINT run_outcome_known CHECK (outcome IN ('done', 'failed'))
);
-- One run at a time.
CREATE UNIQUE INDEX t_im_archive_run_open ON t_im_archive_run ((true)) WHERE ended_at IS NULL;

-- A day that is moving into the archive, and its step. A run continues from it after a crash.
CREATE TABLE t_im_archive_day (
    day           date PRIMARY KEY,
    run_id        bigint NOT NULL,
    step          text NOT NULL,
    from_ms_id    bigint NOT NULL,
    below_ms_id   bigint NOT NULL,
    -- Everything up to this id is written; the columns below are its sums.
    written_ms_id bigint NOT NULL,
    messages      bigint NOT NULL DEFAULT 0,
    documents     bigint NOT NULL DEFAULT 0,
    ledger_rows   bigint NOT NULL DEFAULT 0,
    checksum      bytea NOT NULL DEFAULT '\x00000000000000000000000000000000',
    sealed_at     timestamptz NOT NULL,
    switched_at   timestamptz,
    dropped_at    timestamptz,
    CONSTRAINT archive_step_known CHECK (step IN ('sealed', 'written', 'verified', 'switched', 'dropped'))
);
CREATE INDEX t_im_archive_day_run ON t_im_archive_day (run_id, day);

-- When the schedule last began a job.
CREATE TABLE t_im_schedule (
    name     text COLLATE "C" PRIMARY KEY,
    begun_at timestamptz NOT NULL
);

-- Recalls: which user recalled a message, and when. Rows are few and kept for good. Every read of messages
-- applies them: the content is empty, the message stays.
CREATE TABLE t_im_recall (
    ms_id       bigint PRIMARY KEY,
    channel_id  bigint NOT NULL,
    seq         bigint NOT NULL,
    sender      text COLLATE "C" NOT NULL,
    recalled_by text COLLATE "C" NOT NULL,
    recalled_at timestamptz NOT NULL,
    -- Whether the archive has applied it.
    archived    boolean NOT NULL DEFAULT false
);
CREATE INDEX t_im_recall_channel ON t_im_recall (channel_id, seq);
CREATE INDEX t_im_recall_waiting ON t_im_recall (ms_id) WHERE NOT archived;
-- Lets the conversation list skip the lookup of recalls if there are none above the cursor.
ALTER TABLE t_im_channel ADD COLUMN last_recalled_seq bigint NOT NULL DEFAULT 0;

-- A receipt of a cold message can also be a read: only the archive knows where its cursor moves.
ALTER TABLE t_im_receipt_pending ADD COLUMN status smallint NOT NULL DEFAULT 1,
    ADD CONSTRAINT pending_status_known CHECK (status BETWEEN 1 AND 2);

-- Every channel a user is or was in, for searches by and about the user.
CREATE INDEX t_im_channel_user_person ON t_im_channel_user (user_id, channel_id);
-- Pending rows of a receiver, for a search by status.
CREATE INDEX t_im_receipt_pending_receiver ON t_im_receipt_pending (receiver);
CREATE INDEX t_im_read_user ON t_im_read (user_id);

-- The audit log: which user read or changed what of others, when and why.
CREATE TABLE t_im_audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    action   text NOT NULL,
    reason   text,
    filter   jsonb NOT NULL,
    results  bigint
);
CREATE INDEX t_im_audit_actor ON t_im_audit (actor, audit_id);
-- No role of the service can change or delete an entry: the trigger stops the owner of the table too.
CREATE FUNCTION im_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER t_im_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON t_im_audit
    FOR EACH STATEMENT EXECUTE FUNCTION im_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON t_im_audit FROM PUBLIC, CURRENT_USER;

