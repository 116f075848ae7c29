-- The rows of a batch of sends, as a hand would write them that has only this to do: one
-- statement, one commit; no membership or sender is checked, no id is known from before, nobody
-- else is at work, and who is answered what is not asked.
-- $1 channel ids, $2 senders, $3 client ids, $4 contents
WITH item AS MATERIALIZED (
    SELECT i.*,
           ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 22)
               + (nextval('im_ms_sequence') & 4194303) AS ms_id
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[]) AS i (channel_id, sender, client_id, content)
),
headed AS (
    UPDATE t_im_channel c
    SET last_seq = c.last_seq + i.messages, last_ms_id = i.ms_id, last_server_time = clock_timestamp(),
        last_sender = i.sender, last_type = 'text', last_preview = i.content
    FROM (SELECT DISTINCT ON (channel_id) *, count(*) OVER (PARTITION BY channel_id) AS messages
          FROM item ORDER BY channel_id, ms_id DESC) AS i
    WHERE c.channel_id = i.channel_id
    RETURNING c.channel_id, c.last_seq, c.member_count, i.messages
),
counted AS (
    INSERT INTO t_im_channel_sender AS s (channel_id, user_id, sent_count, last_sent_seq)
    SELECT channel_id, sender, 1, last_seq FROM item JOIN headed USING (channel_id)
    ON CONFLICT (channel_id, user_id) DO UPDATE
    SET sent_count = s.sent_count + 1, last_sent_seq = EXCLUDED.last_sent_seq
),
stored AS (
    INSERT INTO t_im_message (ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content)
    SELECT ms_id, channel_id,
           last_seq - messages + row_number() OVER (PARTITION BY channel_id ORDER BY ms_id),
           clock_timestamp(), sender, 1, 'text', content
    FROM item JOIN headed USING (channel_id)
),
claimed AS (
    INSERT INTO t_im_client_id (sender, client_id, ms_id, digest)
    SELECT sender, client_id, ms_id, '\x00112233445566778899aabbccddeeff' FROM item
),
ledger AS (
    INSERT INTO t_im_message_push (ms_id, receiver, channel_id, last_modified_time)
    SELECT i.ms_id, m.user_id, i.channel_id, clock_timestamp()
    FROM item i
    JOIN t_im_channel_user m ON m.channel_id = i.channel_id AND m.to_seq IS NULL AND m.user_id <> i.sender
)
INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, pairs, bytes,
                             queued_at, due_at)
SELECT 'raw', channel_id, max(last_seq - messages + 1), max(last_seq), min(ms_id), max(ms_id),
       max(messages * (member_count - 1)), sum(pg_column_size(content)), clock_timestamp(), clock_timestamp()
FROM item JOIN headed USING (channel_id)
GROUP BY channel_id
