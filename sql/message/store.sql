-- Stores the admitted sends of a batch: seq, message, the channel's head, the sender's
-- count; ledger rows and queue row at once for small channels, a fan-out for the rest.
-- $1 ms_ids, $2 channel ids, $3 senders, $4 types, $5 contents, $6 previews
-- $7 most members a channel may have for its ledger rows to be written here
-- $8 most ledger rows written here, all channels together
-- $9 most (message, receiver) pairs of one queue row
-- $10 most bytes of the messages of one queue row
WITH item AS MATERIALIZED (
    SELECT i.*
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::jsonb[])
         AS i (ms_id, channel_id, sender, ms_type, content, preview)
),
channel AS MATERIALIZED (
    -- A channel whose fan-out is pending lets nothing overtake it.
    SELECT c.channel_id, c.last_seq, c.last_server_time, c.member_count,
           c.member_count > $7::integer
           OR EXISTS (SELECT FROM t_im_fanout f WHERE f.channel_id = c.channel_id)
           OR sum(c.member_count::bigint * n.messages) OVER (ORDER BY c.member_count, c.channel_id) > $8::integer
               AS deferred
    FROM (SELECT channel_id, count(*) AS messages FROM item GROUP BY channel_id) AS n
    JOIN t_im_channel c USING (channel_id)
),
placed AS MATERIALIZED (
    SELECT item.*, channel.deferred, channel.member_count,
           channel.last_seq + row_number() OVER in_channel AS seq,
           greatest(moment.now, channel.last_server_time + interval '1 microsecond')
               + (row_number() OVER in_channel - 1) * interval '1 microsecond' AS server_time,
           coalesce(s.sent_count, 0)
               + row_number() OVER (PARTITION BY item.channel_id, item.sender ORDER BY item.ms_id) AS sender_count
    FROM item
    JOIN channel USING (channel_id)
    LEFT JOIN t_im_channel_sender s ON s.channel_id = item.channel_id AND s.user_id = item.sender
    CROSS JOIN (SELECT im_clock() AS now) AS moment
    WINDOW in_channel AS (PARTITION BY item.channel_id ORDER BY item.ms_id)
),
stored AS (
    INSERT INTO t_im_message (ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content)
    SELECT ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content FROM placed
),
headed AS (
    UPDATE t_im_channel c
    SET last_seq = p.seq, last_ms_id = p.ms_id, last_server_time = p.server_time,
        last_sender = p.sender, last_type = p.ms_type, last_preview = p.preview
    FROM (SELECT DISTINCT ON (channel_id) * FROM placed ORDER BY channel_id, seq DESC) AS p
    WHERE c.channel_id = p.channel_id
),
counted AS (
    INSERT INTO t_im_channel_sender (channel_id, user_id, sent_count, last_sent_seq)
    SELECT channel_id, sender, max(sender_count), max(seq) FROM placed GROUP BY channel_id, sender
    ON CONFLICT (channel_id, user_id) DO UPDATE
    SET sent_count = EXCLUDED.sent_count, last_sent_seq = EXCLUDED.last_sent_seq
),
ledger AS (
    INSERT INTO t_im_message_push (ms_id, receiver, channel_id, last_modified_time)
    SELECT p.ms_id, m.user_id, p.channel_id, p.server_time
    FROM placed p
    JOIN t_im_channel_user m ON m.channel_id = p.channel_id AND m.to_seq IS NULL AND m.user_id <> p.sender
    WHERE NOT p.deferred
),
deferred AS (
    INSERT INTO t_im_fanout (channel_id, seq, ms_id, sender)
    SELECT channel_id, seq, ms_id, sender FROM placed WHERE placed.deferred
),
sized AS (
    SELECT channel_id, seq, ms_id, server_time, member_count - 1 AS pairs, pg_column_size(content) AS bytes,
           row_number() OVER in_channel - 1 AS before,
           sum(pg_column_size(content)) OVER in_channel - pg_column_size(content) AS bytes_before
    FROM placed WHERE NOT placed.deferred AND member_count > 1
    WINDOW in_channel AS (PARTITION BY channel_id ORDER BY seq)
),
queued AS (
    -- Cut where either bound is reached; a message alone is never cut.
    INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                                 pairs, bytes, held, queued_at, due_at)
    SELECT 'gateway', channel_id, min(seq), max(seq), min(ms_id), max(ms_id),
           sum(pairs), sum(bytes), gateway.is_off, min(server_time), min(server_time)
    FROM sized CROSS JOIN (SELECT url IS NULL AS is_off FROM t_im_callback WHERE callback_id = 'gateway') AS gateway
    GROUP BY gateway.is_off, channel_id, before / greatest($9::integer / pairs, 1), bytes_before / $10::integer
    ORDER BY channel_id, min(seq)
),
unindexed AS (
    INSERT INTO t_im_index_queue (ms_ids, queued_at)
    SELECT array_agg(ms_id), max(server_time) FROM placed WHERE EXISTS (SELECT FROM t_im_archive)
    HAVING count(*) > 0
),
told AS (
    INSERT INTO t_im_event_new (type, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, at)
    SELECT 'message.created', channel_id, min(seq), max(seq), min(ms_id), max(ms_id), max(server_time)
    FROM placed
    WHERE im_event_wanted('message.created')
    GROUP BY channel_id
    RETURNING channel_id
)
SELECT ms_id, seq, server_time, deferred, EXISTS (SELECT FROM told) AS told FROM placed
