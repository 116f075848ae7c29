-- The tables of the hand-made statements: a row a receiver and a queue row a message, as a service of this kind
-- commonly has them. They stay as they are, so that figures of different days compare. Channels, members and people
-- are those of the service.
CREATE SCHEMA IF NOT EXISTS raw;
CREATE TABLE IF NOT EXISTS raw.t_im_channel (LIKE public.t_im_channel) WITH (fillfactor = 50);
CREATE UNIQUE INDEX IF NOT EXISTS t_im_channel_pkey ON raw.t_im_channel (channel_id);
CREATE UNIQUE INDEX IF NOT EXISTS t_im_channel_pair ON raw.t_im_channel (pair_low, pair_high) WHERE pair_low IS NOT NULL;
CREATE TABLE IF NOT EXISTS raw.t_im_channel_sender (
    channel_id    bigint NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    sent_count    bigint NOT NULL,
    last_sent_seq bigint NOT NULL,
    PRIMARY KEY (channel_id, user_id)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS raw.t_im_message (
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
CREATE TABLE IF NOT EXISTS raw.t_im_message_push (
    ms_id              bigint NOT NULL,
    receiver           text COLLATE "C" NOT NULL,
    channel_id         bigint NOT NULL,
    status             smallint NOT NULL DEFAULT 0,
    verdict            smallint,
    verdict_reason     text,
    last_modified_time timestamptz NOT NULL,
    PRIMARY KEY (ms_id, receiver),
    CONSTRAINT push_status_known CHECK (status BETWEEN 0 AND 2),
    CONSTRAINT push_verdict_known CHECK (verdict BETWEEN 1 AND 2)
) PARTITION BY RANGE (ms_id);
CREATE TABLE IF NOT EXISTS raw.t_im_client_id (
    sender    text COLLATE "C" NOT NULL,
    client_id text COLLATE "C" NOT NULL,
    ms_id     bigint NOT NULL,
    digest    bytea NOT NULL,
    PRIMARY KEY (sender, client_id)
);
CREATE INDEX IF NOT EXISTS t_im_client_id_age ON raw.t_im_client_id (ms_id);
CREATE TABLE IF NOT EXISTS raw.t_im_push_queue (
    queue_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    callback_id    text COLLATE "C" NOT NULL,
    channel_id     bigint NOT NULL,
    from_seq       bigint,
    to_seq         bigint,
    from_ms_id     bigint,
    to_ms_id       bigint,
    after_receiver text COLLATE "C",
    to_receiver    text COLLATE "C",
    receivers      text[] COLLATE "C",
    pairs          integer NOT NULL,
    bytes          integer NOT NULL,
    waited_ms      bigint NOT NULL DEFAULT 0,
    in_turn        boolean NOT NULL DEFAULT true,
    retries        integer NOT NULL DEFAULT 0,
    queued_at      timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    batch_id       uuid,
    event_ids      bigint[],
    CONSTRAINT push_queue_holds_something CHECK ((event_ids IS NULL) = (from_ms_id IS NOT NULL))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX IF NOT EXISTS t_im_push_queue_waiting ON raw.t_im_push_queue (callback_id, queue_id) WHERE batch_id IS NULL;
CREATE INDEX IF NOT EXISTS t_im_push_queue_held ON raw.t_im_push_queue (callback_id, channel_id) WHERE batch_id IS NOT NULL AND in_turn;
CREATE INDEX IF NOT EXISTS t_im_push_queue_batch ON raw.t_im_push_queue (batch_id) WHERE batch_id IS NOT NULL;
DO $$
DECLARE
    day date;
    bounds text;
BEGIN
    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, 1) AS n LOOP
        bounds := format('FOR VALUES FROM (%s) TO (%s)', im_first_ms_id(day::timestamp AT TIME ZONE 'UTC'),
                         im_first_ms_id((day + 1)::timestamp AT TIME ZONE 'UTC'));
        EXECUTE format('CREATE TABLE IF NOT EXISTS raw.%I PARTITION OF raw.t_im_message (CONSTRAINT message_type_known '
                       || 'CHECK (ms_type IN (''text'', ''picture'', ''file''))) %s', 't_im_message_p' || to_char(day, 'YYYYMMDD'), bounds);
        EXECUTE format('CREATE UNIQUE INDEX IF NOT EXISTS %I ON raw.%I (channel_id, seq, ms_id)',
                       'channel_p' || to_char(day, 'YYYYMMDD'), 't_im_message_p' || to_char(day, 'YYYYMMDD'));
        EXECUTE format('CREATE TABLE IF NOT EXISTS raw.%I PARTITION OF raw.t_im_message_push %s WITH (fillfactor = 50)',
                       't_im_message_push_p' || to_char(day, 'YYYYMMDD'), bounds);
    END LOOP;
END $$;
INSERT INTO raw.t_im_channel SELECT * FROM public.t_im_channel ON CONFLICT DO NOTHING;
INSERT INTO raw.t_im_channel_sender SELECT * FROM public.t_im_channel_sender ON CONFLICT DO NOTHING;
ANALYZE raw.t_im_channel, raw.t_im_channel_sender;
