-- The messages of the items of a batch, in order in each channel, with their receivers in blocks.
-- $1 batch id
SELECT q.ordinality AS item, q.urgent AS again, q.from_slot, q.to_slot, q.receivers AS named, m.urgent,
       m.ms_id, m.channel_id, c.channel_type, c.channel_name, c.has_muted, m.seq, m.sender, u.name AS sender_name, m.server_time, m.ms_type,
       CASE WHEN r.ms_id IS NULL THEN m.content ELSE '{}' END AS content,
       CASE WHEN r.ms_id IS NOT NULL THEN '{}' WHEN m.extra ? 'reply_to' THEN im_pushed_extra(m.extra, m.channel_id, m.seq) ELSE m.extra END AS extra, r.ms_id IS NOT NULL AS recalled,
       l.blocks, l.receivers
FROM t_im_push_batch b
CROSS JOIN LATERAL unnest(b.items) WITH ORDINALITY AS q
CROSS JOIN LATERAL (
    SELECT * FROM t_im_message
    WHERE channel_id = q.channel_id AND seq BETWEEN q.from_seq AND q.to_seq
      AND ms_id BETWEEN q.from_ms_id AND q.to_ms_id
    OFFSET 0
) AS m
CROSS JOIN LATERAL (SELECT channel_type, channel_name, has_muted FROM t_im_channel WHERE channel_id = q.channel_id OFFSET 0) AS c
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = m.sender OFFSET 0) AS u ON true
LEFT JOIN LATERAL (SELECT ms_id FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0) AS r ON true
CROSS JOIN LATERAL (
    -- An item that was held while there was no gateway is only for receivers who are still unreceived.
    SELECT array_agg(block) AS blocks,
           array_agg(CASE WHEN q.held AND NOT q.urgent THEN receivers & ~coalesce(received, receivers # receivers) & ~coalesce(read, receivers # receivers)
                          ELSE receivers END) AS receivers
    FROM t_im_ledger
    WHERE ms_id = m.ms_id AND block BETWEEN coalesce(q.from_slot >> 10, 0) AND coalesce(q.to_slot >> 10, 2097151)
) AS l
WHERE b.batch_id = $1 AND l.blocks IS NOT NULL
ORDER BY m.channel_id, m.seq, q.ordinality
