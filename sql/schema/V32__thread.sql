-- What connects messages: replies, topics, and the references of senders. The rows are few: a message without these has
-- none.

-- The hot messages that carry a mark. The archive finds the cold ones by the same marks.
CREATE TABLE t_im_mark (
    -- reply:<ms_id>, topic:<channel_id>/<topic>, ref:<sender>/<ref>. The messages of a mark are read in the order of
    -- ms_id, so a mark of one channel names it.
    mark  text COLLATE "C" NOT NULL,
    ms_id bigint NOT NULL,
    PRIMARY KEY (mark, ms_id)
);
-- The marks of a recalled message, and of messages that have become cold.
CREATE INDEX t_im_mark_message ON t_im_mark (ms_id);

-- How many replies a message has, without recalled ones. It also has messages that are in the archive.
CREATE TABLE t_im_reply_count (
    ms_id   bigint PRIMARY KEY,
    replies bigint NOT NULL
) WITH (fillfactor = 70);

-- The topics of a channel, each with its last message. It also has topics whose messages are in the archive. A topic goes
-- with the recall of its last message that is left.
CREATE TABLE t_im_topic (
    channel_id bigint NOT NULL,
    topic      text COLLATE "C" NOT NULL,
    -- How many messages have it, without recalled ones.
    messages   bigint NOT NULL,
    last_seq   bigint NOT NULL,
    last_ms_id bigint NOT NULL,
    last_at    timestamptz NOT NULL,
    PRIMARY KEY (channel_id, topic)
);
CREATE INDEX t_im_topic_last ON t_im_topic (channel_id, last_ms_id);

-- What a message of a channel carries, as a reader sees it now; null: a reader who sees everything. The preview of the
-- message that it replies to goes with the recall. A reader who may not see that message does not learn of it.
CREATE FUNCTION im_shown_extra(extra jsonb, channel_id bigint, reader text) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $3 IS NOT NULL
                 AND NOT EXISTS (SELECT FROM v_im_visible v
                                 WHERE v.channel_id = $2 AND v.user_id = $3
                                   AND ($1 #>> '{reply_to,seq}')::bigint >= v.sees_from_seq
                                   AND (v.to_seq IS NULL OR ($1 #>> '{reply_to,seq}')::bigint <= v.to_seq))
                THEN $1 - 'reply_to'
                WHEN EXISTS (SELECT FROM t_im_recall WHERE ms_id = ($1 #>> '{reply_to,ms_id}')::bigint)
                THEN jsonb_set($1 #- '{reply_to,preview}', '{reply_to,recalled}', 'true') ELSE $1 END
$$;

-- What a message of a channel carries in a push, which is one for all receivers: without the message that it replies to,
-- if one of the receivers may not see that message.
CREATE FUNCTION im_pushed_extra(extra jsonb, channel_id bigint, seq bigint) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN EXISTS (SELECT FROM t_im_channel_user i
                             WHERE i.channel_id = $2 AND i.sees_from_seq > ($1 #>> '{reply_to,seq}')::bigint
                               AND i.from_seq <= $3 AND (i.to_seq IS NULL OR i.to_seq >= $3)
                               -- A robot is no receiver.
                               AND NOT EXISTS (SELECT FROM t_im_user u WHERE u.user_id = i.user_id AND u.source = 'robot' OFFSET 0)
                               AND NOT EXISTS (SELECT FROM t_im_channel_user e
                                               WHERE e.channel_id = $2 AND e.user_id = i.user_id
                                                 AND e.sees_from_seq <= ($1 #>> '{reply_to,seq}')::bigint
                                                 AND (e.to_seq IS NULL OR e.to_seq >= ($1 #>> '{reply_to,seq}')::bigint)
                                               OFFSET 0))
                THEN $1 - 'reply_to' ELSE im_shown_extra($1, $2, NULL) END
$$;
