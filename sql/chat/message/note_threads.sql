-- Keeps what connects the messages of a batch of sends to others. The previous statements of the transaction have admitted
-- and stored the messages.
-- $1 places of the sends in the batch, $2 messages that they reply to, $3 topics, $4 references: one element per send, with
-- nulls
WITH sent AS MATERIALIZED (
    SELECT m.channel_id, m.seq, m.ms_id, m.sender, m.server_time, given.reply_to, given.topic, given.ref
    FROM (SELECT nullif(current_setting('im.admitted', true), '')::bigint[] AS ms_ids) AS admitted
    CROSS JOIN unnest($1::integer[], $2::bigint[], $3::text[], $4::text[]) AS given (place, reply_to, topic, ref)
    CROSS JOIN LATERAL (
        SELECT channel_id, seq, ms_id, sender, server_time FROM t_im_message WHERE ms_id = admitted.ms_ids[given.place] OFFSET 0
    ) AS m
),
marked AS (
    INSERT INTO t_im_mark (mark, ms_id)
    SELECT kind.mark, sent.ms_id
    FROM sent
    CROSS JOIN LATERAL (VALUES ('reply:' || sent.reply_to), ('topic:' || sent.channel_id || '/' || sent.topic),
                               ('ref:' || sent.sender || '/' || sent.ref)) AS kind (mark)
    WHERE kind.mark IS NOT NULL
    ORDER BY kind.mark, sent.ms_id
),
counted AS (
    -- Replies are in the channel of the message, and its lock is held.
    INSERT INTO t_im_reply_count (ms_id, replies)
    SELECT reply_to, count(*) FROM sent WHERE reply_to IS NOT NULL GROUP BY reply_to ORDER BY reply_to
    ON CONFLICT (ms_id) DO UPDATE SET replies = t_im_reply_count.replies + EXCLUDED.replies
)
INSERT INTO t_im_topic (channel_id, topic, messages, last_seq, last_ms_id, last_at)
SELECT channel_id, topic, count(*), max(seq), max(ms_id), max(server_time) FROM sent WHERE topic IS NOT NULL
GROUP BY channel_id, topic ORDER BY channel_id, topic
ON CONFLICT (channel_id, topic) DO UPDATE
SET messages = t_im_topic.messages + EXCLUDED.messages,
    last_seq = EXCLUDED.last_seq, last_ms_id = EXCLUDED.last_ms_id, last_at = EXCLUDED.last_at
