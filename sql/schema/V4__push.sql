-- An endpoint we POST to. The row is the lock under which batches are made, so that two
-- replicas never take two heads of one channel. Where it is and its secrets are settings.
CREATE TABLE t_im_callback (
    callback_id text COLLATE "C" PRIMARY KEY
);
INSERT INTO t_im_callback VALUES ('gateway');

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
    set_at          timestamptz NOT NULL
);
CREATE INDEX t_im_push_batch_due ON t_im_push_batch (callback_id, due_at);

-- What is still to be pushed: a range of one channel's messages for their receivers in a range
-- of slots (null: all), or for some by name. One row a commit and channel. In turn, a channel's rows go one
-- after another; out of turn are receivers answered `retry` and replayed dead letters.
CREATE TABLE t_im_push_queue (
    queue_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    callback_id    text COLLATE "C" NOT NULL,
    channel_id     bigint NOT NULL,
    from_seq       bigint NOT NULL,
    to_seq         bigint NOT NULL,
    from_ms_id     bigint NOT NULL,
    to_ms_id       bigint NOT NULL,
    from_slot      integer,
    to_slot        integer,
    receivers      text[] COLLATE "C",
    -- How many (message, receiver) pairs it holds: what the size of a batch is measured in.
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
    batch_id       uuid,
    CONSTRAINT push_queue_wait_is_dated CHECK (in_turn OR set_at IS NOT NULL)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX t_im_push_queue_waiting ON t_im_push_queue (callback_id, queue_id) WHERE batch_id IS NULL;
CREATE INDEX t_im_push_queue_held ON t_im_push_queue (callback_id, channel_id) WHERE batch_id IS NOT NULL AND in_turn;
CREATE INDEX t_im_push_queue_batch ON t_im_push_queue (batch_id) WHERE batch_id IS NOT NULL;

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
