-- What messages can be and carry: further types of content, and the users that it mentions.
ALTER TABLE t_im_message
    DROP CONSTRAINT message_type_known,
    ADD CONSTRAINT message_type_known
        CHECK (ms_type IN ('text', 'picture', 'file', 'voice', 'video', 'location', 'markdown', 'link')),
    -- What goes with the content, as readers see it: {"preview": "🎤 0:12", "mentions": ["lisi"]}. Empty for a plain text:
    -- an empty object takes less room than a null, for which each row would need another 8 bytes.
    ADD COLUMN extra jsonb NOT NULL DEFAULT '{}';

-- The mentions of users, and of all members as the user /all, for the mark in the conversation list. It also has
-- messages that are in the archive. Rows are few: a message without mentions has none.
CREATE TABLE t_im_mention (
    user_id    text COLLATE "C" NOT NULL,
    channel_id bigint NOT NULL,
    seq        bigint NOT NULL,
    ms_id      bigint NOT NULL,
    sender     text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, channel_id, seq)
);
-- The mentions of a recalled message, and the oldest ones.
CREATE INDEX t_im_mention_message ON t_im_mention (ms_id);
