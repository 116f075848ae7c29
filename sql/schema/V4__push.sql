-- An endpoint we POST to. The row is the lock under which batches are made, so that two
-- replicas never take two heads of one channel. Where it is and its secrets are settings.
CREATE TABLE t_im_callback (
    callback_id text COLLATE "C" PRIMARY KEY
);
INSERT INTO t_im_callback VALUES ('gateway');

-- What is pushed on its own: a range of one channel's messages for their receivers in a range of slots (null: all),
-- or for some by name; or, for an observer, events, whose channel is 0 where they belong to none. In turn, a channel's
-- rows go one after another. Out of turn are receivers answered `retry`, replayed dead letters and replayed events.
CREATE TABLE t_im_push_queue (
    queue_id       bigint GENERATED ALWAYS AS IDENTITY,
    callback_id    text COLLATE "C" NOT NULL,
    channel_id     bigint NOT NULL,
    from_seq       bigint,
    to_seq         bigint,
    from_ms_id     bigint,
    to_ms_id       bigint,
    from_slot      integer,
    to_slot        integer,
    receivers      text[] COLLATE "C",
    event_ids      bigint[],
    -- How many (message, receiver) pairs, or events, it holds: what the size of a batch is measured in.
    pairs          integer NOT NULL,
    -- About how many bytes its messages have, and so its part of a batch's body.
    bytes          integer NOT NULL,
    -- How long its receivers have been waited for after they were answered `retry`.
    waited_ms      bigint NOT NULL DEFAULT 0,
    in_turn        boolean NOT NULL DEFAULT true,
    -- Queued while there was no gateway: only receivers who have not got it meanwhile are pushed.
    held           boolean NOT NULL DEFAULT false,
    retries        integer NOT NULL DEFAULT 0,
    queued_at      timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    -- When that was set, of rows out of turn: those in turn wait for none.
    set_at         timestamptz,
    PRIMARY KEY (callback_id, queue_id),
    CONSTRAINT push_queue_wait_is_dated CHECK (in_turn OR set_at IS NOT NULL),
    CONSTRAINT push_queue_holds_something CHECK ((event_ids IS NULL) = (from_ms_id IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Whether a channel has rows that go before what a commit stored later.
CREATE INDEX t_im_push_queue_in_turn ON t_im_push_queue (callback_id, channel_id) WHERE in_turn;

-- What one commit of sends stored, for the gateway: one row, however many messages. A claim takes the oldest rows
-- whole. What of them must wait, because its channel has something under way, goes into t_im_push_queue, and what a
-- batch has no room for stays. A channel's rows are in the order of their ids: they are given under its lock.
CREATE TABLE t_im_push_commit (
    commit_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pairs      integer NOT NULL,
    bytes      integer NOT NULL,
    -- The oldest message.
    from_ms_id bigint NOT NULL,
    held       boolean NOT NULL,
    queued_at  timestamptz NOT NULL,
    items      t_im_push_queue[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Out of line when it is long: a look at many rows then reads their sizes only.
ALTER TABLE t_im_push_commit ALTER COLUMN items SET STORAGE EXTERNAL;

-- A frozen batch: retried whole under the same id until it is answered. The epoch fences a
-- worker whose lease ran out: its answer may still advance statuses, never the queue.
CREATE TABLE t_im_push_batch (
    batch_id        uuid PRIMARY KEY,
    callback_id     text COLLATE "C" NOT NULL,
    epoch           integer NOT NULL DEFAULT 1,
    attempts        integer NOT NULL DEFAULT 0,
    -- How long it has been waited for while the endpoint answered others: what giving up counts.
    waited_ms       bigint NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    lease_until     timestamptz,
    due_at          timestamptz NOT NULL,
    -- When those two were set.
    set_at          timestamptz NOT NULL,
    -- How large it is: a probe of an endpoint that was away takes the smallest.
    pairs           integer NOT NULL,
    -- Its oldest message, if it holds any, and since when the oldest item waits.
    from_ms_id      bigint,
    queued_at       timestamptz NOT NULL,
    -- What it holds, taken out of the tables above; an item is named by its place.
    items           t_im_push_queue[] NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE t_im_push_batch ALTER COLUMN items SET STORAGE EXTERNAL;
CREATE INDEX t_im_push_batch_due ON t_im_push_batch (callback_id, due_at);

-- All that is still to be pushed, wherever it stands: for a look by hand.
CREATE VIEW v_im_push_item AS
SELECT NULL::uuid AS batch_id, q.* FROM t_im_push_queue q
UNION ALL
SELECT NULL, item.* FROM t_im_push_commit c CROSS JOIN LATERAL unnest(c.items) AS item
UNION ALL
SELECT b.batch_id, item.* FROM t_im_push_batch b CROSS JOIN LATERAL unnest(b.items) AS item;

-- Every POST of a batch and how it ended, for whoever asks why somebody did not get a message.
CREATE TABLE t_im_push_attempt (
    attempt_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    callback_id  text COLLATE "C" NOT NULL,
    batch_id     uuid NOT NULL,
    attempted_at timestamptz NOT NULL,
    duration_ms  integer NOT NULL,
    http_status  integer,
    error        text,
    pairs        integer NOT NULL,
    received     integer NOT NULL,
    offline      integer NOT NULL,
    rejected     integer NOT NULL,
    retried      integer NOT NULL,
    unknown      integer NOT NULL
);
CREATE INDEX t_im_push_attempt_time ON t_im_push_attempt (attempted_at);

-- What was given up on; a replay puts it back into the queue, out of turn.
CREATE TABLE t_im_push_dead (
    dead_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    callback_id    text COLLATE "C" NOT NULL,
    channel_id     bigint NOT NULL,
    from_seq       bigint NOT NULL,
    to_seq         bigint NOT NULL,
    from_ms_id     bigint NOT NULL,
    to_ms_id       bigint NOT NULL,
    from_slot      integer,
    to_slot        integer,
    receivers      text[] COLLATE "C",
    pairs          integer NOT NULL,
    bytes          integer NOT NULL,
    reason         text NOT NULL,
    dead_at        timestamptz NOT NULL
);
