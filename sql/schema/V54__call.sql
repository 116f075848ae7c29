-- Calls in channels. The service carries the signals and decides who is in a call; it carries no sound and no picture.

SELECT im_lock_gently('t_im_message', 'ACCESS EXCLUSIVE');

-- The message that a call leaves, and those of V58 that clients encrypt: the table is locked once. All rows that are there
-- have one of the types of before, so nothing is read.
ALTER TABLE t_im_message
    DROP CONSTRAINT message_type_known,
    ADD CONSTRAINT message_type_known
        CHECK (ms_type IN ('text', 'picture', 'file', 'voice', 'video', 'location', 'markdown', 'link', 'card',
                           'forward', 'call', 'mls')) NOT VALID;

CREATE TABLE t_im_call (
    call_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_id   bigint NOT NULL,
    caller       text COLLATE "C" NOT NULL,
    media        text NOT NULL,
    -- ringing: only the caller is in it. live: another user has accepted it.
    state        text NOT NULL DEFAULT 'ringing',
    began_at     timestamptz NOT NULL,
    -- Until then it rings. If no user has accepted it by then, it is missed.
    rings_until  timestamptz NOT NULL,
    -- The latest end of a call.
    ends_by      timestamptz NOT NULL,
    answered_at  timestamptz,
    ended_at     timestamptz,
    outcome      text,
    CONSTRAINT call_media_known CHECK (media IN ('audio', 'video')),
    CONSTRAINT call_state_known CHECK (state IN ('ringing', 'live', 'ended')),
    CONSTRAINT call_outcome_known CHECK (outcome IN ('ended', 'missed', 'declined', 'cancelled')),
    CONSTRAINT call_end_complete CHECK ((state = 'ended') = (ended_at IS NOT NULL AND outcome IS NOT NULL))
) WITH (fillfactor = 50);
-- One call in a channel at a time. It is also what the worker looks through: calls that go on are few.
CREATE UNIQUE INDEX t_im_call_open ON t_im_call (channel_id) WHERE state <> 'ended';
-- For pruning.
CREATE INDEX t_im_call_ended ON t_im_call (ended_at) WHERE state = 'ended';

-- The users of a call: those who were called, and those who have come by themselves.
CREATE TABLE t_im_call_user (
    call_id   bigint NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    state     text NOT NULL,
    -- When the user first was in it.
    joined_at timestamptz,
    PRIMARY KEY (call_id, user_id),
    CONSTRAINT call_user_state_known CHECK (state IN ('ringing', 'joined', 'declined', 'left'))
) WITH (fillfactor = 50);
-- In which calls a user is.
CREATE INDEX t_im_call_user_joined ON t_im_call_user (user_id) WHERE state = 'joined';

-- The newest of each name that the users of a call want kept until its end.
CREATE TABLE t_im_call_data (
    call_id bigint NOT NULL,
    name    text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    data    jsonb NOT NULL,
    PRIMARY KEY (call_id, name)
);

-- The users of calls as they are now. A user who is no member of the channel any more, or has left the company, has left the
-- call. Every statement that lets a user into a call, or hands something on to one, uses this view.
CREATE VIEW v_im_call_user AS
SELECT u.call_id, c.channel_id, u.user_id, u.joined_at,
       CASE WHEN m.user_id IS NULL OR p.user_id IS NULL THEN 'left' ELSE u.state END AS state
FROM t_im_call_user u
-- OFFSET 0 makes each of them a key lookup, also with a plan made while there were few.
CROSS JOIN LATERAL (SELECT channel_id FROM t_im_call WHERE call_id = u.call_id OFFSET 0) AS c
LEFT JOIN LATERAL (SELECT user_id FROM t_im_channel_user
                   WHERE channel_id = c.channel_id AND user_id = u.user_id AND to_seq IS NULL OFFSET 0) AS m ON true
LEFT JOIN LATERAL (SELECT user_id, active FROM t_im_user WHERE user_id = u.user_id OFFSET 0) AS p ON p.active;

-- Whether an event of this type has a possible listener. Streams take calls, too.
CREATE OR REPLACE FUNCTION im_event_wanted(type text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM t_im_callback c
                   WHERE c.kind = 'observer' AND c.state <> 'disabled' AND im_takes(c.event_types, im_event_wanted.type))
        OR split_part(type, '.', 1) IN ('message', 'channel', 'relation', 'call')
           AND type NOT IN ('message.received', 'message.unread', 'message.unreceived')
           AND EXISTS (SELECT FROM t_im_event_head WHERE streams_until > im_clock());
END $$;
