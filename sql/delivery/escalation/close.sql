-- Deletes the urgent rows of receivers that are no longer open: read, recalled, or of a channel that the receiver has
-- left. Rows that another transaction deletes are left to it.
-- $1 user ids
WITH closed AS MATERIALIZED (
    SELECT receiver.user_id, u.ms_id
    FROM (SELECT DISTINCT unnest($1::text[]) AS user_id) AS receiver
    CROSS JOIN LATERAL (
        SELECT DISTINCT channel_id FROM t_im_urgent WHERE user_id = receiver.user_id AND NOT is_over OFFSET 0
    ) AS held
    CROSS JOIN LATERAL (SELECT last_recalled_seq FROM t_im_channel WHERE channel_id = held.channel_id OFFSET 0) AS c
    LEFT JOIN LATERAL (
        SELECT from_seq, read_seq FROM t_im_channel_user
        WHERE channel_id = held.channel_id AND user_id = receiver.user_id AND to_seq IS NULL OFFSET 0
    ) AS m ON true
    CROSS JOIN LATERAL (
        SELECT ms_id FROM t_im_urgent o
        WHERE o.user_id = receiver.user_id AND o.channel_id = held.channel_id AND NOT o.is_over
          AND (m.read_seq IS NULL OR o.seq <= m.read_seq OR o.seq < m.from_seq
               OR o.seq <= c.last_recalled_seq AND EXISTS (SELECT FROM t_im_recall WHERE ms_id = o.ms_id OFFSET 0))
        FOR UPDATE SKIP LOCKED
        OFFSET 0
    ) AS u
)
DELETE FROM t_im_urgent u
USING closed
WHERE u.ms_id = ANY (ARRAY[closed.ms_id]) AND u.user_id = ANY (ARRAY[closed.user_id])
