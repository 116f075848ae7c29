-- Recalls messages. Their rows lose the content, unless a row is sealed; then the overlay hides the content and the
-- archive never shows it. The channels and the index queue are updated. An earlier statement locks the channels, and
-- the caller shares the seal lock.
-- $1 ms_ids, $2 channel ids, $3 seqs, $4 senders, $7 the messages that they reply to, $8 their topics, both with nulls: one
-- element per message; $5 recalled by, $6 now
-- Returns the messages that were not recalled before.
WITH recall AS (
    INSERT INTO t_im_recall (ms_id, channel_id, seq, sender, recalled_by, recalled_at)
    SELECT ms_id, channel_id, seq, sender, $5, $6
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS given (ms_id, channel_id, seq, sender)
    ORDER BY ms_id
    ON CONFLICT DO NOTHING
    RETURNING ms_id, channel_id, seq
),
open AS MATERIALIZED (
    SELECT recall.ms_id FROM recall CROSS JOIN t_im_horizon h WHERE recall.ms_id >= h.sealed_ms_id
),
emptied AS (
    UPDATE t_im_message SET content = '{}', extra = '{}' WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM open))
),
unmentioned AS (
    DELETE FROM t_im_mention WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
),
released AS (
    -- A file that no message holds any more expires at once. The sweeper decides whether it goes.
    DELETE FROM t_im_file_use WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM recall)) RETURNING file_id
),
expiring AS (
    UPDATE t_im_file f SET expires_at = $6
    WHERE f.file_id = ANY (ARRAY(SELECT file_id FROM released))
      AND NOT EXISTS (SELECT FROM t_im_file_use u WHERE u.file_id = f.file_id
                        AND u.ms_id <> ALL (ARRAY(SELECT ms_id FROM recall)) OFFSET 0)
),
forgotten AS (
    UPDATE t_im_favourite SET content = '{}', extra = '{}' WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
),
unmarked AS (
    DELETE FROM t_im_mark WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
),
uncounted AS (
    UPDATE t_im_reply_count c SET replies = c.replies - gone.replies
    FROM (SELECT given.replied, count(*) AS replies
          FROM unnest($1::bigint[], $7::bigint[]) AS given (ms_id, replied)
          WHERE given.replied IS NOT NULL AND given.ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
          GROUP BY given.replied) AS gone
    WHERE c.ms_id = ANY (ARRAY[gone.replied])
),
untitled AS MATERIALIZED (
    SELECT given.channel_id, given.topic, count(*) AS messages
    FROM unnest($1::bigint[], $2::bigint[], $8::text[]) AS given (ms_id, channel_id, topic)
    WHERE given.topic IS NOT NULL AND given.ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
    GROUP BY given.channel_id, given.topic
),
without_topic AS (
    DELETE FROM t_im_topic t USING untitled
    WHERE t.channel_id = ANY (ARRAY[untitled.channel_id]) AND t.topic = ANY (ARRAY[untitled.topic])
      AND t.messages <= untitled.messages
),
with_topic AS (
    -- If the messages that are left are in the archive, the topic stays where it is in the order.
    UPDATE t_im_topic t
    SET messages = t.messages - untitled.messages, last_seq = coalesce(last.seq, t.last_seq),
        last_ms_id = coalesce(last.ms_id, t.last_ms_id), last_at = coalesce(last.server_time, t.last_at)
    FROM untitled
    LEFT JOIN LATERAL (
        SELECT m.seq, m.ms_id, m.server_time
        FROM (SELECT ms_id FROM t_im_mark
              WHERE mark = 'topic:' || untitled.channel_id || '/' || untitled.topic
                AND ms_id <> ALL ($1::bigint[]) AND ms_id >= (SELECT ms_id FROM t_im_horizon)
              ORDER BY ms_id DESC
              LIMIT 1) AS k
        CROSS JOIN LATERAL (SELECT seq, ms_id, server_time FROM t_im_message WHERE ms_id = k.ms_id OFFSET 0) AS m
    ) AS last ON true
    WHERE t.channel_id = ANY (ARRAY[untitled.channel_id]) AND t.topic = ANY (ARRAY[untitled.topic])
      AND t.messages > untitled.messages
),
unacted AS (
    -- What receivers wrote on a card tells what it asked.
    DELETE FROM t_im_card_action WHERE ms_id = ANY (ARRAY(SELECT ms_id FROM recall))
),
channel_updated AS (
    UPDATE t_im_channel c
    SET last_recalled_seq = greatest(c.last_recalled_seq, last.seq),
        last_preview = CASE WHEN c.last_seq = last.seq THEN '{}' ELSE c.last_preview END
    FROM (SELECT channel_id, max(seq) AS seq FROM recall GROUP BY channel_id) AS last
    -- ANY forces an index lookup. With an equality the planner could join, and read every channel.
    WHERE c.channel_id = ANY (ARRAY[last.channel_id])
),
unindexed AS (
    INSERT INTO t_im_index_queue (ms_ids, queued_at)
    SELECT array_agg(ms_id), $6 FROM open WHERE EXISTS (SELECT FROM t_im_archive)
    HAVING count(*) > 0
),
event_written AS (
    INSERT INTO t_im_event_new (type, channel_id, from_seq, from_ms_id, actor, data, at)
    SELECT 'message.recalled', channel_id, seq, ms_id, $5,
           jsonb_build_object('ms_id', ms_id::text, 'channel_id', channel_id::text, 'seq', seq, 'recalled_by', $5::text), $6
    FROM recall WHERE im_event_wanted('message.recalled')
)
SELECT ms_id FROM recall
