-- Stores the sends that the previous statement admitted: gives each its seq, and writes the message, the channel's
-- last message, the sender's count, the ledger and the push.
-- $1 channel ids, $2 senders, $3 types, $4 contents, $5 previews, $6 what goes with the contents: one element per send, in
-- order
-- $7 most (message, receiver) pairs of one item of a push
-- $8 most bytes of the messages of one item
WITH item AS MATERIALIZED (
    SELECT i.*
    FROM unnest(nullif(current_setting('im.admitted', true), '')::bigint[], $1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[],
                $6::jsonb[])
         AS i (ms_id, channel_id, sender, ms_type, content, preview, extra)
    WHERE i.ms_id IS NOT NULL
),
placed AS MATERIALIZED (
    SELECT item.*, pg_column_size(item.content) + pg_column_size(item.extra) AS bytes, slot.slot, channel.member_count,
           channel.last_seq + row_number() OVER in_channel AS seq,
           greatest(moment.now, channel.last_server_time + interval '1 microsecond')
               + (row_number() OVER in_channel - 1) * interval '1 microsecond' AS server_time,
           coalesce(s.sent_count, 0)
               + row_number() OVER (PARTITION BY item.channel_id, item.sender ORDER BY item.ms_id) AS sender_count
    FROM item
    CROSS JOIN LATERAL (
        SELECT last_seq, last_server_time, member_count FROM t_im_channel WHERE channel_id = item.channel_id OFFSET 0) AS channel
    CROSS JOIN LATERAL (
        SELECT slot FROM t_im_channel_slot WHERE channel_id = item.channel_id AND user_id = item.sender OFFSET 0) AS slot
    LEFT JOIN LATERAL (
        SELECT sent_count FROM t_im_channel_sender WHERE channel_id = item.channel_id AND user_id = item.sender OFFSET 0) AS s ON true
    CROSS JOIN (SELECT im_clock() AS now) AS moment
    WINDOW in_channel AS (PARTITION BY item.channel_id ORDER BY item.ms_id)
),
stored AS (
    INSERT INTO t_im_message (ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content, extra)
    SELECT ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content, extra FROM placed
),
headed AS (
    UPDATE t_im_channel c
    SET last_seq = p.seq, last_ms_id = p.ms_id, last_server_time = p.server_time,
        last_sender = p.sender, last_type = p.ms_type, last_preview = p.preview
    FROM (SELECT DISTINCT ON (channel_id) * FROM placed ORDER BY channel_id, seq DESC) AS p
    -- ANY forces an index lookup. With an equality the planner could join, and read every channel.
    WHERE c.channel_id = ANY (ARRAY[p.channel_id])
),
counted AS (
    INSERT INTO t_im_channel_sender (channel_id, user_id, sent_count, last_sent_seq)
    SELECT channel_id, sender, max(sender_count), max(seq) FROM placed GROUP BY channel_id, sender
    ON CONFLICT (channel_id, user_id) DO UPDATE
    SET sent_count = EXCLUDED.sent_count, last_sent_seq = EXCLUDED.last_sent_seq
),
ledger AS (
    -- The receivers are the member bits without the sender's bit.
    INSERT INTO t_im_ledger (ms_id, channel_id, seq, server_time, block, receivers)
    SELECT p.ms_id, p.channel_id, p.seq, p.server_time, b.block, b.receivers
    FROM placed p
    CROSS JOIN LATERAL (
        SELECT block, CASE WHEN block = p.slot >> 10 THEN set_bit(members, p.slot & 1023, 0) ELSE members END AS receivers
        FROM t_im_channel_block WHERE channel_id = p.channel_id
        OFFSET 0
    ) AS b
    WHERE bit_count(b.receivers) > 0
),
sized AS (
    SELECT channel_id, seq, ms_id, slot, server_time, member_count - 1 AS pairs, bytes,
           row_number() OVER in_channel - 1 AS before,
           sum(bytes) OVER in_channel - bytes AS bytes_before
    FROM placed WHERE member_count > 1
    WINDOW in_channel AS (PARTITION BY channel_id ORDER BY seq)
),
part AS (
    -- Messages of a channel share an item until a bound is reached. A message with more receivers than the bound
    -- has one item per range of slots.
    SELECT channel_id, min(seq) AS from_seq, max(seq) AS to_seq, min(ms_id) AS from_ms_id, max(ms_id) AS to_ms_id,
           NULL::integer AS from_slot, NULL::integer AS to_slot,
           sum(pairs) AS pairs, sum(bytes) AS bytes, min(server_time) AS queued_at
    FROM sized
    WHERE pairs <= $7::integer
    GROUP BY channel_id, before / greatest($7::integer / pairs, 1), bytes_before / $8::integer
    UNION ALL
    SELECT m.channel_id, m.seq, m.seq, m.ms_id, m.ms_id, stretch.from_slot, stretch.from_slot + $7::integer - 1,
           stretch.members - (m.slot BETWEEN stretch.from_slot AND stretch.from_slot + $7::integer - 1)::integer * sender.bit,
           m.bytes, m.server_time
    FROM sized m
    -- A robot sends, and is no receiver of anything.
    CROSS JOIN LATERAL (
        SELECT im_bit(members, m.slot & 1023) AS bit
        FROM t_im_channel_block WHERE channel_id = m.channel_id AND block = m.slot >> 10
        OFFSET 0
    ) AS sender
    CROSS JOIN LATERAL im_member_stretches(m.channel_id, $7::integer) AS stretch
    WHERE m.pairs > $7::integer
),
queued AS (
    INSERT INTO t_im_push_commit (pairs, bytes, from_ms_id, held, queued_at, items)
    SELECT sum(pairs), sum(bytes), min(from_ms_id), gateway.is_off, min(queued_at),
           array_agg(ROW(NULL, 'gateway', channel_id, from_seq, to_seq, from_ms_id, to_ms_id, from_slot, to_slot, NULL, NULL,
                         pairs, bytes, 0, true, gateway.is_off, 0, queued_at, queued_at, NULL, false, NULL)::t_im_push_queue
                     ORDER BY channel_id, from_seq, from_slot)
    FROM part CROSS JOIN (SELECT url IS NULL AS is_off FROM t_im_callback WHERE callback_id = 'gateway') AS gateway
    WHERE pairs > 0
    GROUP BY gateway.is_off
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
SELECT ms_id, seq, server_time, EXISTS (SELECT FROM told) AS told FROM placed
