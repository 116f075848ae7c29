-- The id below which records live in the archive. Minting never goes below it.
CREATE TABLE t_im_horizon (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ms_id    bigint NOT NULL
);
INSERT INTO t_im_horizon (ms_id) VALUES (0);

-- What is said. Partitioned by day of ms_id: a day leaves as a whole table. There is no
-- default partition on purpose (it would block making the real one). sender_count is the
-- sender's running count in the channel, so that unread counts need no counting.
CREATE TABLE t_im_message (
    ms_id        bigint NOT NULL,
    channel_id   bigint NOT NULL,
    seq          bigint NOT NULL,
    server_time  timestamptz NOT NULL,
    sender       text COLLATE "C" NOT NULL,
    sender_count bigint NOT NULL,
    ms_type      text NOT NULL,
    content      jsonb NOT NULL,
    PRIMARY KEY (ms_id),
    CONSTRAINT message_type_known CHECK (ms_type IN ('text', 'picture', 'file'))
) PARTITION BY RANGE (ms_id);
-- A channel's page, either way. ms_id is not in it: what is looked up by ms_id alone would be looked for in all of
-- it, by the statistics of a day that has just begun.
CREATE INDEX t_im_message_channel ON t_im_message (channel_id, seq);

-- The ledger: the push status of every message for every receiver. The primary key is its
-- only index (status is not indexed, so its updates stay HOT).
CREATE TABLE t_im_message_push (
    ms_id              bigint NOT NULL,
    receiver           text COLLATE "C" NOT NULL,
    channel_id         bigint NOT NULL,
    status             smallint NOT NULL DEFAULT 0,
    -- Why an unreceived message was not pushed: the gateway's verdict, if it gave one.
    verdict            smallint,
    verdict_reason     text,
    last_modified_time timestamptz NOT NULL,
    PRIMARY KEY (ms_id, receiver),
    -- 0 unreceived, 1 received, 2 read
    CONSTRAINT push_status_known CHECK (status BETWEEN 0 AND 2),
    -- 1 offline, 2 rejected
    CONSTRAINT push_verdict_known CHECK (verdict BETWEEN 1 AND 2)
) PARTITION BY RANGE (ms_id);

-- One day's partitions of both, made ahead or by the send that misses them. CREATE TABLE …
-- PARTITION OF would lock the parent against everybody; LIKE, CHECK and ATTACH do not.
CREATE FUNCTION im_make_partitions(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lower_id bigint := im_first_ms_id(day::timestamp AT TIME ZONE 'UTC');
    upper_id bigint := im_first_ms_id((day + 1)::timestamp AT TIME ZONE 'UTC');
    parent text;
    child text;
    options text;
BEGIN
    -- Replicas make the same day one after another.
    PERFORM pg_advisory_xact_lock(hashtext('im_make_partitions'));
    FOREACH parent IN ARRAY ARRAY['t_im_message', 't_im_message_push'] LOOP
        child := parent || to_char(day, '"_p"YYYYMMDD');
        CONTINUE WHEN to_regclass(child) IS NOT NULL;
        -- Room on the page keeps status updates HOT.
        options := CASE parent WHEN 't_im_message_push' THEN 'fillfactor = 50, ' ELSE '' END
            || 'autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_vacuum_scale_factor = 0.1';
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES, '
            || 'CONSTRAINT day_bounds CHECK (ms_id >= %s AND ms_id < %s)) WITH (%s)',
            child, parent, lower_id, upper_id, options);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
            parent, child, lower_id, upper_id);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT day_bounds', child);
    END LOOP;
END $$;

-- The day of a partition, by its name; null for every other table. (A condition beside a cast does not hold
-- the cast back: the planner may try it on any table first.)
CREATE FUNCTION im_partition_day(name name) RETURNS date LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN name::text ~ '^t_im_message(_push)?_p\d{8}$' THEN to_date(right(name::text, 8), 'YYYYMMDD') END
$$;

-- A send is known by its sender and client id, so that a repeat stores nothing new. Not
-- partitioned by day (ids unique per day are not unique); pruned in small batches by age.
CREATE TABLE t_im_client_id (
    sender    text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    ms_id     bigint NOT NULL,
    digest    bytea NOT NULL,
    PRIMARY KEY (sender, client_id)
);
CREATE INDEX t_im_client_id_age ON t_im_client_id (ms_id);

-- A message whose ledger rows are still to be written, in chunks of receivers in id order.
-- While a channel has one, its later messages queue behind it.
CREATE TABLE t_im_fanout (
    channel_id     bigint NOT NULL,
    seq            bigint NOT NULL,
    ms_id          bigint NOT NULL,
    sender         text COLLATE "C" NOT NULL,
    after_receiver text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (channel_id, seq)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The oldest of them first, without sorting all.
CREATE INDEX t_im_fanout_age ON t_im_fanout (ms_id);

-- A read as a range of seq with its time, until the background pass has written it into
-- the ledger rows. Meanwhile status `read` is derived from the reader's cursor.
CREATE TABLE t_im_read (
    channel_id bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    from_seq   bigint NOT NULL,
    to_seq     bigint NOT NULL,
    from_ms_id bigint NOT NULL,
    to_ms_id   bigint NOT NULL,
    read_at    timestamptz NOT NULL,
    PRIMARY KEY (channel_id, user_id, to_seq)
);

-- A valid receipt that came before its ledger row: applied when the fan-out ends.
CREATE TABLE t_im_receipt_pending (
    ms_id       bigint NOT NULL,
    receiver    text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (ms_id, receiver)
);
