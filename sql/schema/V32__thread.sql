-- What connects messages: replies, topics, and the references of senders. The rows are few: a message without these has
-- none.

-- The hot messages that carry a mark. The archive finds the cold ones by the same marks.
CREATE TABLE t_im_mark (
    -- reply:<ms_id>, topic:<topic>, ref:<sender>/<ref>
    mark       text COLLATE "C" NOT NULL,
    channel_id bigint NOT NULL,
    ms_id      bigint NOT NULL,
    PRIMARY KEY (mark, channel_id, ms_id)
);
-- The marks of a recalled message, and of messages that have become cold.
CREATE INDEX t_im_mark_message ON t_im_mark (ms_id);

-- How many replies a message has, without recalled ones. It also has messages that are in the archive.
CREATE TABLE t_im_reply_count (
    ms_id   bigint PRIMARY KEY,
    replies bigint NOT NULL
) WITH (fillfactor = 70);

-- The topics of a channel, each with its last message. It also has topics whose messages are in the archive.
CREATE TABLE t_im_topic (
    channel_id bigint NOT NULL,
    topic      text COLLATE "C" NOT NULL,
    last_seq   bigint NOT NULL,
    last_ms_id bigint NOT NULL,
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (channel_id, topic)
);
CREATE INDEX t_im_topic_last ON t_im_topic (channel_id, last_ms_id);

-- What a message carries, as readers see it now: the preview of a message that it replies to goes with the recall.
CREATE FUNCTION im_shown_extra(extra jsonb) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM t_im_recall WHERE ms_id = (extra #>> '{reply_to,ms_id}')::bigint)
                THEN jsonb_set(extra #- '{reply_to,preview}', '{reply_to,recalled}', 'true') ELSE extra END
$$;
