-- Endpoints of callbacks. Batches of an endpoint are made under the lock of its row, so that two replicas never push
-- items of one channel at the same time. The gateway's URL and secrets are settings.
CREATE TABLE t_im_callback (
    callback_id text COLLATE "C" PRIMARY KEY
);
INSERT INTO t_im_callback VALUES ('gateway');

-- The queue. A row holds a range of one channel's messages, for the receivers in a range of slots (null: all) or for
-- named receivers. For an observer it holds events, with channel 0 if they belong to no channel. In-turn rows of a
-- channel go one after another. Receivers answered `retry`, replayed dead letters and replayed events are out of turn.
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
    -- The number of (message, receiver) pairs, or of events. It is the measure of a batch's size.
    pairs          integer NOT NULL,
    -- The approximate bytes of its messages in the body of a batch.
    bytes          integer NOT NULL,
    -- The total wait after answers `retry`.
    waited_ms      bigint NOT NULL DEFAULT 0,
    in_turn        boolean NOT NULL DEFAULT true,
    -- Queued while there was no gateway. The push leaves out receivers who have received the message meanwhile.
    held           boolean NOT NULL DEFAULT false,
    retries        integer NOT NULL DEFAULT 0,
    queued_at      timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    -- When due_at was set. Only for rows out of turn: due_at is ignored for rows in turn.
    set_at         timestamptz,
    -- One more push for receivers who have not read. The push leaves out receivers who have read meanwhile.
    urgent         boolean NOT NULL DEFAULT false,
    -- The last commit of sends when an urgent row was queued. The first push of its message is in no later one.
    after_commit   bigint,
    PRIMARY KEY (callback_id, queue_id),
    CONSTRAINT push_queue_wait_is_dated CHECK (in_turn OR set_at IS NOT NULL),
    CONSTRAINT push_queue_holds_something CHECK ((event_ids IS NULL) = (from_ms_id IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Finds whether a channel has in-turn rows, which go before later commits.
CREATE INDEX t_im_push_queue_in_turn ON t_im_push_queue (callback_id, channel_id) WHERE in_turn;

-- The work for the gateway from commits of sends: one row per commit, with any number of messages. A claim takes the
-- oldest rows. Items whose channel is busy move into t_im_push_queue. Items without room in the batch stay. The rows of
-- a channel are in id order, because the ids are given under the channel's lock.
CREATE TABLE t_im_push_commit (
    commit_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pairs      integer NOT NULL,
    bytes      integer NOT NULL,
    -- The id of the oldest message.
    from_ms_id bigint NOT NULL,
    held       boolean NOT NULL,
    queued_at  timestamptz NOT NULL,
    items      t_im_push_queue[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Long items are stored out of line, so that a scan for sizes does not read them.
ALTER TABLE t_im_push_commit ALTER COLUMN items SET STORAGE EXTERNAL;

-- Frozen batches. A batch is retried as a whole under the same id until it is answered. The epoch fences off a worker
-- whose lease has expired: its answer may still raise statuses, but not change the queue.
CREATE TABLE t_im_push_batch (
    batch_id        uuid PRIMARY KEY,
    callback_id     text COLLATE "C" NOT NULL,
    epoch           integer NOT NULL DEFAULT 1,
    attempts        integer NOT NULL DEFAULT 0,
    -- The total wait while the endpoint answered other batches. It decides when the batch is given up.
    waited_ms       bigint NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    lease_until     timestamptz,
    due_at          timestamptz NOT NULL,
    -- When lease_until and due_at were set.
    set_at          timestamptz NOT NULL,
    -- Its size. A probe takes the smallest batch.
    pairs           integer NOT NULL,
    -- The id of its oldest message, if it has messages; and since when its oldest item waits.
    from_ms_id      bigint,
    queued_at       timestamptz NOT NULL,
    -- Its items, moved from the tables above. An item is identified by its position.
    items           t_im_push_queue[] NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE t_im_push_batch ALTER COLUMN items SET STORAGE EXTERNAL;
CREATE INDEX t_im_push_batch_due ON t_im_push_batch (callback_id, due_at);

-- All items that are not pushed yet, from all three tables. For queries by hand.
CREATE VIEW v_im_push_item AS
SELECT NULL::uuid AS batch_id, q.* FROM t_im_push_queue q
UNION ALL
SELECT NULL, item.* FROM t_im_push_commit c CROSS JOIN LATERAL unnest(c.items) AS item
UNION ALL
SELECT b.batch_id, item.* FROM t_im_push_batch b CROSS JOIN LATERAL unnest(b.items) AS item;

-- Every POST of a batch and its result. It shows why a receiver did not get a message.
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

-- Dead letters: items that were given up. A replay moves them back into the queue, out of turn.
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
    dead_at        timestamptz NOT NULL,
    urgent         boolean NOT NULL DEFAULT false
);
