-- Callbacks as a resource: the gateway, whose answer decides `received`, and observers, which receive events.
-- The row is also the lock under which the batches of an endpoint are made.
ALTER TABLE t_im_callback
    ADD COLUMN kind text NOT NULL DEFAULT 'observer',
    -- Null while there is no gateway. Its queue then waits.
    ADD COLUMN url text,
    -- The gateway of the settings can be changed only there, and its secrets are not stored here.
    ADD COLUMN from_settings boolean NOT NULL DEFAULT false,
    ADD COLUMN description text,
    -- Names of event types, or families such as `channel.*`.
    ADD COLUMN event_types text[] NOT NULL DEFAULT '{}',
    -- Filters; null: everything. Only events of these channels, and only events by or about users of these
    -- departments and those below them.
    ADD COLUMN channel_ids bigint[],
    ADD COLUMN department_ids text[] COLLATE "C",
    -- Encrypted, because a header can carry a credential.
    ADD COLUMN headers bytea,
    ADD COLUMN timeout_ms integer,
    ADD COLUMN concurrency integer,
    ADD COLUMN batch_events integer NOT NULL DEFAULT 100,
    -- Null: no limit. The database paces, so the limit holds for all replicas together.
    ADD COLUMN events_per_second integer,
    ADD COLUMN paced_until timestamptz,
    -- When `paced_until` was set.
    ADD COLUMN paced_at timestamptz,
    ADD COLUMN state text NOT NULL DEFAULT 'active',
    -- Since when every POST has failed. The time until the observer is disabled counts from here.
    ADD COLUMN failing_since timestamptz,
    ADD COLUMN disabled_reason text,
    -- Rises with every change, so that replicas detect changes.
    ADD COLUMN revision bigint NOT NULL DEFAULT 1,
    ADD COLUMN created_at timestamptz,
    ADD COLUMN updated_at timestamptz,
    -- When it was removed. It is then disabled and hidden until its queue is deleted.
    ADD COLUMN removed_at timestamptz;
UPDATE t_im_callback SET kind = 'gateway' WHERE callback_id = 'gateway';
ALTER TABLE t_im_callback
    ADD CONSTRAINT callback_kind_known CHECK (kind IN ('gateway', 'observer')),
    ADD CONSTRAINT callback_state_known CHECK (state IN ('active', 'paused', 'disabled')),
    ADD CONSTRAINT callback_observer_somewhere CHECK (kind = 'gateway' OR url IS NOT NULL),
    ADD CONSTRAINT callback_gateway_not_disabled CHECK (kind = 'observer' OR state <> 'disabled'),
    ADD CONSTRAINT callback_removed_is_disabled CHECK (removed_at IS NULL OR state = 'disabled'),
    -- A zero would stop all observers, because the sequencer divides by these values.
    ADD CONSTRAINT callback_limits_positive
        CHECK (timeout_ms > 0 AND concurrency > 0 AND batch_events > 0 AND events_per_second > 0),
    ADD CONSTRAINT callback_pace_is_dated CHECK ((paced_until IS NULL) = (paced_at IS NULL)),
    ADD CONSTRAINT callback_one_gateway CHECK ((kind = 'gateway') = (callback_id = 'gateway'));

-- Secrets for signatures, encrypted with the key of the settings. During a rotation both secrets sign.
CREATE TABLE t_im_callback_secret (
    secret_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    callback_id text COLLATE "C" NOT NULL REFERENCES t_im_callback ON DELETE CASCADE,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    -- Null: the newest secret.
    expires_at  timestamptz
);
CREATE INDEX t_im_callback_secret_callback ON t_im_callback_secret (callback_id);

ALTER TABLE t_im_push_dead
    ALTER COLUMN from_seq DROP NOT NULL, ALTER COLUMN to_seq DROP NOT NULL,
    ALTER COLUMN from_ms_id DROP NOT NULL, ALTER COLUMN to_ms_id DROP NOT NULL,
    ADD COLUMN event_ids bigint[],
    ADD CONSTRAINT push_dead_holds_something CHECK ((event_ids IS NULL) = (from_ms_id IS NOT NULL));
-- For a page of an endpoint's dead letters, and for the start of a replay since a time.
CREATE INDEX t_im_push_dead_callback ON t_im_push_dead (callback_id, dead_id);
-- Request and answer of an attempt: the start of the answer as text, the size and URL of the request.
ALTER TABLE t_im_push_attempt
    ADD COLUMN url text,
    ADD COLUMN request_bytes integer,
    ADD COLUMN answer text;
CREATE INDEX t_im_push_attempt_callback ON t_im_push_attempt (callback_id, attempt_id);

-- New events, written by the transaction of the change, until they get an id. A row of `message.created`
-- stands for a range of messages of one channel.
CREATE TABLE t_im_event_new (
    new_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type       text NOT NULL,
    channel_id bigint,
    from_seq   bigint,
    to_seq     bigint,
    from_ms_id bigint,
    to_ms_id   bigint,
    -- The actor, or the user that the event is about. Department filters use their department.
    actor      text COLLATE "C",
    data       jsonb NOT NULL DEFAULT '{}',
    -- Users who receive the event in addition to the members: those who were just removed.
    audience   text[] COLLATE "C",
    -- With an audience: the name of the channel at that time. Those who were removed must not see a later one.
    channel_name text,
    at         timestamptz NOT NULL,
    CONSTRAINT event_new_range CHECK ((type = 'message.created') = (to_ms_id IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Receipts and reads, one row per transaction and message or cursor. The rows of a window become one event:
-- "120 users read it", not 120 events.
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

-- The event log. One sequencer at a time assigns ids after the commit. A reader who has seen an id has missed
-- none below it.
CREATE TABLE t_im_event (
    event_id   bigint PRIMARY KEY,
    type       text NOT NULL,
    channel_id bigint,
    seq        bigint,
    ms_id      bigint,
    actor      text COLLATE "C",
    data       jsonb NOT NULL,
    audience   text[] COLLATE "C",
    channel_name text,
    at         timestamptz NOT NULL
);
-- For the start of a replay since a time, and for old events. The log grows about in this order.
CREATE INDEX t_im_event_time ON t_im_event USING brin (at) WITH (pages_per_range = 16);

-- The position of the sequencer. The row is its lock.
CREATE TABLE t_im_event_head (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_event_id bigint NOT NULL DEFAULT 0,
    -- Until then every event is written, because a user may listen or return.
    streams_until timestamptz NOT NULL DEFAULT '-infinity',
    -- From the event after this one, the log holds all events for streams.
    complete_from bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO t_im_event_head DEFAULT VALUES;

-- Whether an endpoint takes an event type, by its name or its family.
CREATE FUNCTION im_takes(event_types text[], type text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT type = ANY (event_types) OR split_part(type, '.', 1) || '.*' = ANY (event_types)
$$;

-- Whether an event of this type has a possible listener. Without one, it is not written. Streams take the
-- events of channels. (PL/pgSQL keeps its plan. A function in SQL would be planned by each send.)
CREATE FUNCTION im_event_wanted(type text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM t_im_callback c
                   WHERE c.kind = 'observer' AND c.state <> 'disabled' AND im_takes(c.event_types, im_event_wanted.type))
        OR split_part(type, '.', 1) IN ('message', 'channel') AND type NOT IN ('message.received', 'message.unread', 'message.unreceived')
           AND EXISTS (SELECT FROM t_im_event_head WHERE streams_until > im_clock());
END $$;

-- What an event is about: its channel, and the seq of its message if it is about one. If messages did not reach a user: the
-- channels of these messages, and the seq of the newest in each.
CREATE FUNCTION im_about(type text, channel_id bigint, seq bigint, data jsonb)
RETURNS TABLE (channel_id bigint, seq bigint) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT $2, $3 WHERE $1 <> 'message.unreceived'
    UNION ALL
    SELECT (c ->> 'channel_id')::bigint, (c -> 'newest' ->> 'seq')::bigint
    FROM jsonb_array_elements(CASE WHEN $1 = 'message.unreceived' THEN $4 -> 'channels' END) AS c
$$;

-- The channels that an event is about.
CREATE FUNCTION im_channels_of(type text, channel_id bigint, data jsonb) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY(SELECT about.channel_id FROM im_about($1, $2, NULL, $3) AS about)
$$;

-- The data of a message.unreceived, with the messages of these channels only.
CREATE FUNCTION im_unreceived_in(data jsonb, channel_ids bigint[]) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT data || jsonb_build_object('messages', coalesce(sum((c ->> 'messages')::bigint), 0),
                                      'channels', coalesce(jsonb_agg(c ORDER BY place), '[]'))
    FROM jsonb_array_elements(data -> 'channels') WITH ORDINALITY AS channel (c, place)
    WHERE (c ->> 'channel_id')::bigint = ANY (channel_ids)
$$;

-- Writes an event in the transaction of the change, if it has listeners.
CREATE FUNCTION im_emit(type text, channel_id bigint, actor text, data jsonb, audience text[], at timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO t_im_event_new (type, channel_id, actor, data, audience, channel_name, at)
    SELECT im_emit.type, im_emit.channel_id, im_emit.actor, im_emit.data, im_emit.audience,
           CASE WHEN im_emit.audience IS NOT NULL
                THEN (SELECT c.channel_name FROM t_im_channel c WHERE c.channel_id = im_emit.channel_id) END,
           im_emit.at
    WHERE im_event_wanted(im_emit.type);
END $$;
