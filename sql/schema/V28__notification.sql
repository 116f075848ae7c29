-- Notifications: one message of an application to each of many receivers, in its direct channel with them. The
-- messages are sent in steps. The row is the lock of a step: a step sends one page and moves next_page in the same
-- transaction. Rows are kept for good, so that the status of the receivers can be asked at any time.
CREATE TABLE t_im_notification (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sender       text COLLATE "C" NOT NULL,
    client_id    text COLLATE "C" NOT NULL,
    created_at   timestamptz NOT NULL,
    -- The receivers that were not found, for the answer to a repeat: [{"user_id": "u1", "reason": "unknown"}, …].
    problems     jsonb NOT NULL,
    ms_type      text NOT NULL,
    content      jsonb NOT NULL,
    -- The fields of each message with these names.
    topic        text,
    data         jsonb,
    ref          text,
    urgent       boolean NOT NULL,
    -- The steps of each message while it is unread, as in t_im_escalation.
    step_kinds   text[] NOT NULL,
    step_after_s integer[] NOT NULL,
    send_at      timestamptz NOT NULL,
    -- What is not sent by then is not sent.
    expires_at   timestamptz,
    receivers    integer NOT NULL,
    pages        integer NOT NULL,
    -- The page of the next step. After a recall the steps begin again, and recall what was sent.
    next_page    integer NOT NULL DEFAULT 0,
    sent         integer NOT NULL DEFAULT 0,
    failed       integer NOT NULL DEFAULT 0,
    recalled_at  timestamptz,
    -- Whether steps are left.
    is_open      boolean NOT NULL DEFAULT true,
    -- The steps that have failed since the last one that did not. A failed step pauses the notification, so that the
    -- others go on. After too many it ends.
    failures     integer NOT NULL DEFAULT 0,
    -- Why the last step failed. Null: it did not.
    failure      text,
    -- The end of the pause after a failed step, and when the pause began.
    paused_until timestamptz,
    paused_at    timestamptz,
    CONSTRAINT notification_expires_after_send CHECK (expires_at > send_at),
    CONSTRAINT notification_adds_up CHECK (sent + failed <= receivers)
) WITH (fillfactor = 70);
-- The notifications of an application, newest first.
CREATE INDEX t_im_notification_sender ON t_im_notification (sender, notification_id);
-- The next step is found among the open ones. They are few: an application has a limit of them.
CREATE INDEX t_im_notification_open ON t_im_notification (sender) WHERE is_open;

-- The receivers of a notification in the order of their ids, a row for those of one step: a row for each receiver
-- would cost five times as much. The same position of each list belongs to the same receiver. The lists after the
-- first are null until the step, and have nulls for receivers who have no message.
CREATE TABLE t_im_notification_page (
    notification_id bigint NOT NULL,
    page        integer NOT NULL,
    user_ids    text[] COLLATE "C" NOT NULL,
    channel_ids bigint[],
    ms_ids      bigint[],
    seqs        bigint[],
    -- Why a receiver gets no message.
    reasons     text[],
    -- From the first to the last ms_id.
    span        int8range,
    -- The push statuses of messages in the archive, so that they are counted without it. They are written before the day
    -- becomes cold. What comes later waits, as for all cold messages, and goes into this list and into the archive.
    statuses    smallint[],
    -- The messages of the days before this ms_id have their statuses here.
    kept_below  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (notification_id, page)
);
-- The pages of a day that moves into the archive, and the page of a message.
CREATE INDEX t_im_notification_page_span ON t_im_notification_page USING gist (span);
