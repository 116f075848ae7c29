-- Cards: messages with buttons. The row of the message has the newest state.
ALTER TABLE t_im_message
    DROP CONSTRAINT message_type_known,
    ADD CONSTRAINT message_type_known
        CHECK (ms_type IN ('text', 'picture', 'file', 'voice', 'video', 'location', 'markdown', 'link', 'card'));

-- What receivers did on cards: once for each version of the card. Rows are deleted when the message is cold and the events
-- of the day are gone, or when it is recalled.
CREATE TABLE t_im_card_action (
    ms_id     bigint NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    version   bigint NOT NULL,
    button_id text NOT NULL,
    value     text,
    acted_at  timestamptz NOT NULL,
    PRIMARY KEY (ms_id, user_id, version)
);
