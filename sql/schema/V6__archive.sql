-- What is sealed: statuses of messages below sealed_ms_id are written nowhere in the ledger any
-- more. Receipts, reads and recalls of them wait (t_im_receipt_pending, t_im_read, t_im_recall),
-- are overlaid on what is read, and go into the archive once the messages are cold. Whoever writes
-- statuses shares the advisory lock below; sealing and switching take it alone, so that for
-- whoever shares it neither id moves.
ALTER TABLE t_im_horizon ADD COLUMN sealed_ms_id bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT horizon_is_sealed CHECK (ms_id <= sealed_ms_id);
CREATE FUNCTION im_seal_lock() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtext('im_seal')::bigint
$$;

-- Work that one replica at a time does. The epoch fences whoever lost it without noticing.
CREATE TABLE t_im_lease (
    name   text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    epoch  bigint NOT NULL,
    until  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The archive that this database belongs to, by the id the archive gave itself. Messages from
-- walk_ms_id on are still to be indexed from the tables: all of them when an archive is new.
CREATE TABLE t_im_archive (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    archive_id text NOT NULL,
    walk_ms_id bigint
);

-- Messages that the archive does not have yet: one row a commit, gone when they are indexed.
CREATE TABLE t_im_index_queue (
    queue_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ms_ids    bigint[] NOT NULL,
    queued_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A run of the archiver: asked for by the schedule or by hand, ended when its days are dropped.
CREATE TABLE t_im_archive_run (
    run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL,
    ended_at    timestamptz,
    outcome     text,
    days        integer NOT NULL DEFAULT 0,
    messages    bigint NOT NULL DEFAULT 0,
    ledger_rows bigint NOT NULL DEFAULT 0,
    -- What it does, or what it waits for or failed of.
    doing       text,
    CONSTRAINT run_asked_by_known CHECK (asked_by IN ('schedule', 'hand')),
    CONSTRAINT run_outcome_known CHECK (outcome IN ('done', 'failed'))
);
-- One run at a time.
CREATE UNIQUE INDEX t_im_archive_run_open ON t_im_archive_run ((true)) WHERE ended_at IS NULL;

-- A day on its way into the archive, and where it stands: what a run goes on with after a crash.
CREATE TABLE t_im_archive_day (
    day           date PRIMARY KEY,
    run_id        bigint NOT NULL,
    step          text NOT NULL,
    from_ms_id    bigint NOT NULL,
    below_ms_id   bigint NOT NULL,
    -- Everything up to this id is written, and what it adds up to.
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

-- When something that repeats was last begun.
CREATE TABLE t_im_schedule (
    name     text COLLATE "C" PRIMARY KEY,
    begun_at timestamptz NOT NULL
);

-- Who took a message back. Small, kept for good, and laid over every message that is read: its
-- content is gone, its row stays.
CREATE TABLE t_im_recall (
    ms_id       bigint PRIMARY KEY,
    channel_id  bigint NOT NULL,
    seq         bigint NOT NULL,
    sender      text COLLATE "C" NOT NULL,
    recalled_by text COLLATE "C" NOT NULL,
    recalled_at timestamptz NOT NULL,
    -- Whether the archive has taken it in.
    archived    boolean NOT NULL DEFAULT false
);
CREATE INDEX t_im_recall_channel ON t_im_recall (channel_id, seq);
CREATE INDEX t_im_recall_waiting ON t_im_recall (ms_id) WHERE NOT archived;
-- Spares the conversation list a look for recalls where there are none above the cursor.
ALTER TABLE t_im_channel ADD COLUMN last_recalled_seq bigint NOT NULL DEFAULT 0;

-- A receipt of a cold message may also be a read: where its cursor is to go, only the archive knows.
ALTER TABLE t_im_receipt_pending ADD COLUMN status smallint NOT NULL DEFAULT 1,
    ADD CONSTRAINT pending_status_known CHECK (status BETWEEN 1 AND 2);

-- Every channel somebody is or was in: what they may search, and what they did not get.
CREATE INDEX t_im_channel_user_person ON t_im_channel_user (user_id, channel_id);
-- What waits of one receiver, for a search by status.
CREATE INDEX t_im_receipt_pending_receiver ON t_im_receipt_pending (receiver);
CREATE INDEX t_im_read_user ON t_im_read (user_id);

-- Who looked at what of other people's, and who changed what of it, when and why.
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
-- Nobody who serves can take an entry back: neither by right nor, being the owner, by oversight.
CREATE FUNCTION im_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER t_im_audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON t_im_audit
    FOR EACH STATEMENT EXECUTE FUNCTION im_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON t_im_audit FROM PUBLIC, CURRENT_USER;

