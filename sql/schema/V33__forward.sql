-- Forwarded messages, and the favourites of users.
ALTER TABLE t_im_message
    DROP CONSTRAINT message_type_known,
    ADD CONSTRAINT message_type_known
        CHECK (ms_type IN ('text', 'picture', 'file', 'voice', 'video', 'location', 'markdown', 'link', 'card',
                           'forward'));

-- Messages that users have marked, each with a copy of its content. A recall empties the copy.
CREATE TABLE t_im_favourite (
    favourite_id bigint GENERATED ALWAYS AS IDENTITY,
    user_id      text COLLATE "C" NOT NULL,
    ms_id        bigint NOT NULL,
    channel_id   bigint NOT NULL,
    seq          bigint NOT NULL,
    sender       text COLLATE "C" NOT NULL,
    server_time  timestamptz NOT NULL,
    ms_type      text NOT NULL,
    content      jsonb NOT NULL,
    extra        jsonb NOT NULL,
    note         text,
    added_at     timestamptz NOT NULL,
    PRIMARY KEY (user_id, ms_id)
);
-- A user's favourites, newest first.
CREATE UNIQUE INDEX t_im_favourite_user ON t_im_favourite (user_id, favourite_id);
-- The copies of a recalled message. It has the user too: a favourite is found by its whole key in this index as well, so
-- that a message which is a favourite of many costs no more.
CREATE INDEX t_im_favourite_message ON t_im_favourite (ms_id, user_id);
