-- The horizon: messages with a lower id are in the archive. New ids are never below it.
CREATE TABLE t_im_horizon (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ms_id    bigint NOT NULL
);
INSERT INTO t_im_horizon (ms_id) VALUES (0);

-- Messages, partitioned by the day of their ms_id, so that a day is dropped as a whole table. There is no default
-- partition, because it would block the creation of the real one. sender_count is the sender's running count in the
-- channel, so that unread counts need no counting.
CREATE TABLE t_im_message (
    ms_id        bigint NOT NULL,
    channel_id   bigint NOT NULL,
    seq          bigint NOT NULL,
    server_time  timestamptz NOT NULL,
    sender       text COLLATE "C" NOT NULL,
    sender_count bigint NOT NULL,
    ms_type      text NOT NULL,
    content      jsonb NOT NULL,
    -- Whether its push is marked urgent.
    urgent       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (ms_id),
    CONSTRAINT message_type_known CHECK (ms_type IN ('text', 'picture', 'file'))
) PARTITION BY RANGE (ms_id);
-- The pages of a channel, in both directions. It has no ms_id: with the statistics of a new day, the planner would
-- use this index for lookups by ms_id and scan all of it.
CREATE INDEX t_im_message_channel ON t_im_message (channel_id, seq);

-- The ledger: the push status of every message for every receiver, as bits. One row holds the receivers of a message
-- in a block of 1,024 slots of its channel (t_im_channel_slot). Bits beyond the end of `receivers` are 0. A receiver is
-- unreceived until the bit in `received` or `read` is set. `offline` and `rejected` are the gateway's verdicts on
-- unreceived receivers. The primary key is the only index, so that updates stay HOT.
CREATE TABLE t_im_ledger (
    ms_id       bigint NOT NULL,
    channel_id  bigint NOT NULL,
    seq         bigint NOT NULL,
    server_time timestamptz NOT NULL,
    -- The time when the bits below were set, if they share one time.
    changed_at  timestamptz,
    block       integer NOT NULL,
    receivers   bit varying NOT NULL,
    received    bit varying,
    read        bit varying,
    offline     bit varying,
    rejected    bit varying,
    -- Otherwise one time per slot, in milliseconds since server_time. All have as many bytes as the largest
    -- needs.
    times       bytea,
    -- The reasons of rejections, by position in the block: {"17": "no such device"}.
    reasons     jsonb,
    PRIMARY KEY (ms_id, block)
) PARTITION BY RANGE (ms_id);

-- The state of the receiver at a position of a ledger row.
CREATE FUNCTION im_ledger_status(l t_im_ledger, place integer) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN im_bit(l.read, place) = 1 THEN 2 WHEN im_bit(l.received, place) = 1 THEN 1 ELSE 0 END::smallint
$$;
CREATE FUNCTION im_ledger_verdict(l t_im_ledger, place integer) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN im_bit(l.offline, place) = 1 THEN 1 WHEN im_bit(l.rejected, place) = 1 THEN 2 END::smallint
$$;
CREATE FUNCTION im_ledger_reason(l t_im_ledger, place integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT l.reasons ->> place::text
$$;
CREATE FUNCTION im_ledger_time(l t_im_ledger, place integer) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN l.times IS NOT NULL
                THEN l.server_time + ('x' || lpad(encode(substring(l.times FROM 1 + length(l.times) / length(l.receivers) * place
                                                                   FOR length(l.times) / length(l.receivers)), 'hex'), 10, '0'))::bit(40)::bigint
                                     * interval '1 millisecond'
                WHEN 1 IN (im_bit(l.received, place), im_bit(l.read, place), im_bit(l.offline, place), im_bit(l.rejected, place))
                THEN l.changed_at
                ELSE l.server_time END
$$;

-- The ledger with one row per receiver, without ranges that are not written into it yet.
CREATE VIEW v_im_ledger AS
SELECT l.ms_id, l.channel_id, l.seq, s.user_id AS receiver,
       im_ledger_status(l, s.slot & 1023) AS status,
       im_ledger_verdict(l, s.slot & 1023) AS verdict,
       im_ledger_reason(l, s.slot & 1023) AS verdict_reason,
       im_ledger_time(l, s.slot & 1023) AS last_modified_time
FROM t_im_ledger l
JOIN t_im_channel_slot s ON s.channel_id = l.channel_id AND s.slot BETWEEN l.block << 10 AND (l.block << 10) + 1023
WHERE im_bit(l.receivers, s.slot & 1023) = 1;

-- The partitions of both tables, with their range of ms_ids: from_ms_id included, below_ms_id excluded.
CREATE VIEW v_im_partition AS
SELECT i.inhparent AS parent, c.oid, c.relname AS partition, i.inhdetachpending AS pending,
       bounds[1]::bigint AS from_ms_id, bounds[2]::bigint AS below_ms_id,
       (im_minted_at(bounds[1]::bigint) AT TIME ZONE 'UTC')::date AS day
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), '\(''(\d+)''\) TO \(''(\d+)''\)') AS bounds
WHERE i.inhparent IN ('t_im_message'::regclass, 't_im_ledger'::regclass);

-- Makes the missing partitions of both tables for a day. It runs ahead of time, or in a send that finds one missing.
-- By default a partition holds one day, because the archive moves whole days. With by_month it holds what is missing
-- of the day's month: without an archive, daily partitions would exceed the server's locks. A partition is named after
-- its first day. LIKE, CHECK and ATTACH avoid the lock of CREATE TABLE … PARTITION OF, which blocks all statements.
CREATE FUNCTION im_make_partitions(day date, by_month boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day_begin bigint := im_first_ms_id(day::timestamp AT TIME ZONE 'UTC');
    day_end bigint := im_first_ms_id((day + 1)::timestamp AT TIME ZONE 'UTC');
    month timestamp := date_trunc('month', day::timestamp);
    from_id bigint := day_begin;
    below_id bigint := day_end;
    of_parent text;
    child text;
    options text;
BEGIN
    -- Replicas that make the same day wait for each other.
    PERFORM pg_advisory_xact_lock(hashtext('im_make_partitions'));
    IF by_month THEN
        -- Fill the gap between the neighbouring partitions. Sealed ids are excluded: their partitions may be
        -- dropped at any time.
        SELECT greatest(im_first_ms_id(month AT TIME ZONE 'UTC'), max(p.below_ms_id) FILTER (WHERE p.below_ms_id <= day_begin),
                        (SELECT sealed_ms_id FROM t_im_horizon WHERE sealed_ms_id <= day_begin)),
               least(im_first_ms_id((month + interval '1 month') AT TIME ZONE 'UTC'),
                     min(p.from_ms_id) FILTER (WHERE p.from_ms_id >= day_end))
        INTO from_id, below_id
        FROM v_im_partition p;
    END IF;
    FOREACH of_parent IN ARRAY ARRAY['t_im_message', 't_im_ledger'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM v_im_partition p
                              WHERE p.parent = of_parent::regclass AND p.from_ms_id < day_end AND p.below_ms_id > day_begin);
        child := of_parent || to_char(im_minted_at(from_id) AT TIME ZONE 'UTC', '"_p"YYYYMMDD');
        CONTINUE WHEN to_regclass(child) IS NOT NULL;
        -- Free space on the page keeps status updates HOT.
        options := CASE of_parent WHEN 't_im_ledger' THEN 'fillfactor = 50, ' ELSE '' END
            || 'autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_vacuum_scale_factor = 0.1';
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES, '
            || 'CONSTRAINT partition_bounds CHECK (ms_id >= %s AND ms_id < %s)) WITH (%s)',
            child, of_parent, from_id, below_id, options);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
            of_parent, child, from_id, below_id);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT partition_bounds', child);
    END LOOP;
END $$;

-- The client ids of sends by sender, so that a repeat stores nothing new. The table is not partitioned by day, because
-- an id must be unique over all days. Old rows are deleted by a walk through its pages.
CREATE TABLE t_im_client_id (
    sender    text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    ms_id     bigint NOT NULL,
    digest    bytea NOT NULL,
    PRIMARY KEY (sender, client_id)
);

-- Reads, and receipts up to a seq, as ranges of seq with their time, until the background pass writes them into the
-- ledger. Until then the status is derived from them.
CREATE TABLE t_im_read (
    channel_id bigint NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    from_seq   bigint NOT NULL,
    to_seq     bigint NOT NULL,
    from_ms_id bigint NOT NULL,
    to_ms_id   bigint NOT NULL,
    read_at    timestamptz NOT NULL,
    -- The status that the range gives: 1 received, 2 read.
    status     smallint NOT NULL DEFAULT 2,
    PRIMARY KEY (channel_id, user_id, to_seq, status),
    CONSTRAINT read_status_known CHECK (status BETWEEN 1 AND 2)
);

-- Receipts of sealed or cold messages, until the archive has them.
CREATE TABLE t_im_receipt_pending (
    ms_id       bigint NOT NULL,
    receiver    text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (ms_id, receiver)
);

-- The ledger with one row per receiver, with the table name and the columns of the specification that companies know.
-- It includes reads and receipts that are not written into the blocks yet.
CREATE VIEW t_im_message_push AS
SELECT l.ms_id, l.channel_id, l.receiver,
       greatest(l.status, r.status) AS status,
       CASE WHEN r.status IS NULL THEN l.verdict END AS verdict,
       CASE WHEN r.status IS NULL THEN l.verdict_reason END AS verdict_reason,
       CASE WHEN r.status > l.status THEN r.read_at ELSE l.last_modified_time END AS last_modified_time
FROM v_im_ledger l
LEFT JOIN LATERAL (
    SELECT status, read_at FROM t_im_read
    WHERE channel_id = l.channel_id AND user_id = l.receiver AND from_seq <= l.seq AND to_seq >= l.seq
    ORDER BY status DESC, to_seq LIMIT 1
) AS r ON true;
