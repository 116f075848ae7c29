-- Hot messages of a receiver with a push status, newest first, within a short time range. The plan goes from
-- the memberships to the messages of the channels, then to the ledger by key.
-- $1 receiver, $2 statuses, $3 first ms_id, $4 below this ms_id, $5 sender or null
-- $6 excluded sender or null, $7 type or null, $8 channel id or null, $9 limit
-- $10 the user who searches, or null for a role that may read everything
SELECT m.ms_id, m.channel_id, m.seq, m.server_time, m.sender, m.ms_type,
       CASE WHEN r.ms_id IS NULL THEN m.content ELSE '{}' END AS content,
       CASE WHEN r.ms_id IS NOT NULL THEN '{}' WHEN m.extra ? 'reply_to' THEN im_shown_extra(m.extra, m.channel_id, $10) ELSE m.extra END AS extra,
       coalesce(c.replies, 0) AS replies, r.recalled_by, r.recalled_at, m.status
FROM (
    SELECT found.*
    FROM t_im_channel_user i
    CROSS JOIN LATERAL (SELECT slot FROM t_im_channel_slot WHERE channel_id = i.channel_id AND user_id = $1 OFFSET 0) AS s
    CROSS JOIN LATERAL (
        SELECT m.*, CASE WHEN i.read_seq >= m.seq THEN 2
                         WHEN i.received_seq >= m.seq THEN greatest(l.status, p.status, 1)
                         ELSE greatest(l.status, p.status, 0) END AS status
        FROM t_im_message m
        CROSS JOIN LATERAL (SELECT im_ledger_status(l, s.slot & 1023) AS status FROM t_im_ledger l
                            WHERE ms_id = m.ms_id AND block = s.slot >> 10 AND im_bit(receivers, s.slot & 1023) = 1
                            OFFSET 0) AS l
        LEFT JOIN LATERAL (SELECT status FROM t_im_receipt_pending
                           WHERE ms_id = m.ms_id AND receiver = $1 OFFSET 0) AS p ON true
        WHERE m.channel_id = i.channel_id AND m.seq >= i.from_seq AND (i.to_seq IS NULL OR m.seq <= i.to_seq)
          AND m.ms_id >= greatest($3::bigint, (SELECT ms_id FROM t_im_horizon)) AND m.ms_id < $4::bigint
          AND m.ms_id > i.from_ms_id AND m.sender <> $1
          AND ($5::text IS NULL OR m.sender = $5) AND m.sender IS DISTINCT FROM $6::text
          AND ($7::text IS NULL OR m.ms_type = $7)
        ORDER BY m.seq
        OFFSET 0
    ) AS found
    WHERE i.user_id = $1 AND ($8::bigint IS NULL OR i.channel_id = $8)
      AND found.status = ANY ($2::smallint[])
    ORDER BY found.ms_id DESC
    LIMIT $9
) AS m
LEFT JOIN LATERAL (SELECT replies FROM t_im_reply_count WHERE ms_id = m.ms_id OFFSET 0) AS c ON true
LEFT JOIN LATERAL (SELECT ms_id, recalled_by, recalled_at FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0) AS r ON true
ORDER BY m.ms_id DESC
