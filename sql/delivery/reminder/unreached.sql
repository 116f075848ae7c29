-- The messages that have not reached users since their last reminders, by channel, with the newest of them. A user
-- counts while active and a member of the channel. What was received, read or recalled meanwhile is left out.
-- $1 user ids, $2 most messages that are looked at in a channel
WITH part AS MATERIALIZED (
    SELECT c.user_id, c.channel_id, c.slot, c.from_seq, c.to_seq, c.from_ms_id, c.since, ch.channel_type, ch.channel_name
    FROM unnest($1::text[]) AS given (user_id)
    CROSS JOIN LATERAL (SELECT FROM t_im_user WHERE user_id = given.user_id AND active AND kind <> 'application' OFFSET 0) AS u
    CROSS JOIN LATERAL (SELECT * FROM t_im_reminder_channel WHERE user_id = given.user_id OFFSET 0) AS c
    CROSS JOIN LATERAL (
        SELECT channel_type, channel_name FROM t_im_channel WHERE channel_id = c.channel_id AND dissolved_at IS NULL OFFSET 0
    ) AS ch
    CROSS JOIN LATERAL (
        SELECT FROM t_im_channel_user WHERE channel_id = c.channel_id AND user_id = c.user_id AND to_seq IS NULL OFFSET 0
    ) AS member
),
message AS MATERIALIZED (
    SELECT part.user_id, part.channel_id, part.channel_type, part.channel_name,
           m.ms_id, m.seq, m.sender, m.server_time, l.verdict
    FROM part
    CROSS JOIN LATERAL (
        SELECT ms_id, seq, sender, server_time FROM t_im_message
        WHERE channel_id = part.channel_id AND seq BETWEEN part.from_seq AND part.to_seq AND ms_id >= part.from_ms_id
        ORDER BY seq DESC LIMIT $2::integer
    ) AS m
    CROSS JOIN LATERAL (
        SELECT im_ledger_verdict(l, part.slot & 1023) AS verdict
        FROM t_im_ledger l
        WHERE l.ms_id = m.ms_id AND l.block = part.slot >> 10
          AND im_ledger_status(l, part.slot & 1023) = 0
          -- The ledger keeps milliseconds.
          AND im_ledger_time(l, part.slot & 1023) > part.since - interval '1 millisecond'
        OFFSET 0
    ) AS l
    WHERE l.verdict IS NOT NULL
      AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = m.ms_id OFFSET 0)
      AND NOT EXISTS (
          SELECT FROM t_im_read
          WHERE channel_id = part.channel_id AND user_id = part.user_id AND from_seq <= m.seq AND to_seq >= m.seq OFFSET 0)
      AND NOT EXISTS (SELECT FROM t_im_receipt_pending WHERE ms_id = m.ms_id AND receiver = part.user_id OFFSET 0)
      AND EXISTS (
          SELECT FROM t_im_channel_user
          WHERE channel_id = part.channel_id AND user_id = part.user_id
            AND from_seq <= m.seq AND (to_seq IS NULL OR to_seq >= m.seq) AND read_seq < m.seq OFFSET 0)
),
channel AS (
    SELECT user_id, channel_id, count(*) AS messages, count(*) FILTER (WHERE verdict = 2) AS rejected, max(ms_id) AS ms_id
    FROM message
    GROUP BY user_id, channel_id
)
SELECT m.user_id, m.channel_id, m.channel_type, m.channel_name, c.messages, c.rejected,
       m.ms_id, m.seq, m.sender, u.name AS sender_name, m.server_time
FROM channel c
JOIN message m USING (user_id, channel_id, ms_id)
LEFT JOIN LATERAL (SELECT name FROM t_im_user WHERE user_id = m.sender OFFSET 0) AS u ON true
ORDER BY m.user_id, m.ms_id DESC
