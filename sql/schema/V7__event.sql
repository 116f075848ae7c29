-- Callbacks are a resource: the gateway, whose answer decides `received`, and observers (portals),
-- who are told of events. The row stays the lock under which an endpoint's batches are made.
ALTER TABLE t_im_callback
    ADD COLUMN kind text NOT NULL DEFAULT 'observer',
    -- Null while there is no gateway: what is queued for it is held until there is one.
    ADD COLUMN url text,
    -- The gateway of the settings is theirs to change, and its secrets are not here.
    ADD COLUMN from_settings boolean NOT NULL DEFAULT false,
    ADD COLUMN description text,
    -- Names of event types, or `channel.*` and its like.
    ADD COLUMN event_types text[] NOT NULL DEFAULT '{}',
    -- Only what happens in these channels, and what people of these departments or of those below
    -- them do, or what is told about them; null: everything.
    ADD COLUMN channel_ids bigint[],
    ADD COLUMN department_ids text[] COLLATE "C",
    -- Encrypted: a header may carry a credential.
    ADD COLUMN headers bytea,
    ADD COLUMN timeout_ms integer,
    ADD COLUMN concurrency integer,
    ADD COLUMN batch_events integer NOT NULL DEFAULT 100,
    -- Null: no limit. Paced by the database, so that it holds for all replicas together.
    ADD COLUMN events_per_second integer,
    ADD COLUMN paced_until timestamptz,
    -- When that was set.
    ADD COLUMN paced_at timestamptz,
    ADD COLUMN state text NOT NULL DEFAULT 'active',
    -- Since when every POST has failed; what disabling counts from.
    ADD COLUMN failing_since timestamptz,
    ADD COLUMN disabled_reason text,
    -- Rises with every change, so that replicas notice.
    ADD COLUMN revision bigint NOT NULL DEFAULT 1,
    ADD COLUMN created_at timestamptz,
    ADD COLUMN updated_at timestamptz,
    -- Since when it is nobody's any more: disabled and shown nowhere, until its queue is swept away.
    ADD COLUMN removed_at timestamptz;
UPDATE t_im_callback SET kind = 'gateway' WHERE callback_id = 'gateway';
ALTER TABLE t_im_callback
    ADD CONSTRAINT callback_kind_known CHECK (kind IN ('gateway', 'observer')),
    ADD CONSTRAINT callback_state_known CHECK (state IN ('active', 'paused', 'disabled')),
    ADD CONSTRAINT callback_observer_somewhere CHECK (kind = 'gateway' OR url IS NOT NULL),
    ADD CONSTRAINT callback_gateway_not_disabled CHECK (kind = 'observer' OR state <> 'disabled'),
    ADD CONSTRAINT callback_removed_is_disabled CHECK (removed_at IS NULL OR state = 'disabled'),
    -- A nought here would end more than its own line: the sequencer divides by them for everybody.
    ADD CONSTRAINT callback_limits_positive
        CHECK (timeout_ms > 0 AND concurrency > 0 AND batch_events > 0 AND events_per_second > 0),
    ADD CONSTRAINT callback_pace_is_dated CHECK ((paced_until IS NULL) = (paced_at IS NULL)),
    ADD CONSTRAINT callback_one_gateway CHECK ((kind = 'gateway') = (callback_id = 'gateway'));

-- What an endpoint's POSTs are signed with, encrypted under the key of the settings. During a
-- rotation there are two, and both sign.
CREATE TABLE t_im_callback_secret (
    secret_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    callback_id text COLLATE "C" NOT NULL REFERENCES t_im_callback ON DELETE CASCADE,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    -- Null: the newest one.
    expires_at  timestamptz
);
CREATE INDEX t_im_callback_secret_callback ON t_im_callback_secret (callback_id);

ALTER TABLE t_im_push_dead
    ALTER COLUMN from_seq DROP NOT NULL, ALTER COLUMN to_seq DROP NOT NULL,
    ALTER COLUMN from_ms_id DROP NOT NULL, ALTER COLUMN to_ms_id DROP NOT NULL,
    ADD COLUMN event_ids bigint[],
    ADD CONSTRAINT push_dead_holds_something CHECK ((event_ids IS NULL) = (from_ms_id IS NOT NULL));
-- One page of an endpoint's dead letters, and where a replay since a time begins.
CREATE INDEX t_im_push_dead_callback ON t_im_push_dead (callback_id, dead_id);
-- What was asked and answered: the answer's beginning as text, of the request its size and place.
ALTER TABLE t_im_push_attempt
    ADD COLUMN url text,
    ADD COLUMN request_bytes integer,
    ADD COLUMN answer text;
CREATE INDEX t_im_push_attempt_callback ON t_im_push_attempt (callback_id, attempt_id);

-- What has happened, written by the transaction that did it, until it gets its place. A row of
-- `message.created` stands for a range of one channel's messages.
CREATE TABLE t_im_event_new (
    new_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type       text NOT NULL,
    channel_id bigint,
    from_seq   bigint,
    to_seq     bigint,
    from_ms_id bigint,
    to_ms_id   bigint,
    -- Whose doing it is, or whom it is about: department filters go by their department.
    actor      text COLLATE "C",
    data       jsonb NOT NULL DEFAULT '{}',
    -- Who is told besides the channel's members: those who were just taken out of it.
    audience   text[] COLLATE "C",
    at         timestamptz NOT NULL,
    CONSTRAINT event_new_range CHECK ((type = 'message.created') = (to_ms_id IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Who received and read, one row a transaction and message or cursor, until a window's worth of
-- them becomes one event: "120 people read it", not 120 events.
CREATE TABLE t_im_event_tally (
    tally_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type       text NOT NULL,
    channel_id bigint NOT NULL,
    seq        bigint NOT NULL,
    ms_id      bigint NOT NULL,
    -- The reader; null where only a number is known.
    who        text COLLATE "C",
    people     integer NOT NULL,
    at         timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The log of events. Ids are given after the commit of what an event tells, by one sequencer at a
-- time: whoever has seen an id has missed none below it.
CREATE TABLE t_im_event (
    event_id   bigint PRIMARY KEY,
    type       text NOT NULL,
    channel_id bigint,
    seq        bigint,
    ms_id      bigint,
    actor      text COLLATE "C",
    data       jsonb NOT NULL,
    audience   text[] COLLATE "C",
    at         timestamptz NOT NULL
);
-- Where a replay since a time begins, and what is old: the log grows in about this order.
CREATE INDEX t_im_event_time ON t_im_event USING brin (at) WITH (pages_per_range = 16);

-- The sequencer's place. The row is its lock.
CREATE TABLE t_im_event_head (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_event_id bigint NOT NULL DEFAULT 0,
    -- Until then every event is written, because a person may be listening or come back to.
    streams_until timestamptz NOT NULL DEFAULT '-infinity',
    -- The log holds everything that streams tell from the event after this one on.
    complete_from bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO t_im_event_head DEFAULT VALUES;

-- Whether an endpoint wants a type, which it may name or take with its whole family.
CREATE FUNCTION im_takes(event_types text[], type text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT type = ANY (event_types) OR split_part(type, '.', 1) || '.*' = ANY (event_types)
$$;

-- Whether an observer or a stream may want an event of this type: otherwise none is written. Streams report
-- what happens in channels. (PL/pgSQL keeps its plan; a function in SQL would be planned by each send.)
CREATE FUNCTION im_event_wanted(type text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM t_im_callback c
                   WHERE c.kind = 'observer' AND c.state <> 'disabled' AND im_takes(c.event_types, im_event_wanted.type))
        OR split_part(type, '.', 1) IN ('message', 'channel') AND type <> 'message.received'
           AND EXISTS (SELECT FROM t_im_event_head WHERE streams_until > im_clock());
END $$;

-- Writes an event, in the transaction of what it tells, if anybody may want it.
CREATE FUNCTION im_tell(type text, channel_id bigint, actor text, data jsonb, audience text[], at timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO t_im_event_new (type, channel_id, actor, data, audience, at)
    SELECT im_tell.type, im_tell.channel_id, im_tell.actor, im_tell.data, im_tell.audience, im_tell.at
    WHERE im_event_wanted(im_tell.type);
END $$;
