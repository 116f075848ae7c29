-- Writes the next chunk of a channel's ledger rows, in order of seq and receiver, and queues
-- their push in the same transaction. A receiver of seq n is whoever's interval holds n.
-- $1 channel id, $2 most messages, $3 most rows, $4 most bytes of the messages of one queue row
WITH job AS MATERIALIZED (
    SELECT first.*, sum(bytes) OVER (ORDER BY seq) - bytes AS bytes_before
    FROM (SELECT f.seq, f.ms_id, f.sender, f.after_receiver, pg_column_size(m.content) AS bytes
          FROM t_im_fanout f
          CROSS JOIN LATERAL (SELECT content FROM t_im_message WHERE ms_id = f.ms_id OFFSET 0) AS m
          WHERE f.channel_id = $1 ORDER BY f.seq LIMIT $2::integer) AS first
),
receiver AS MATERIALIZED (
    SELECT job.seq, job.ms_id, job.sender, job.after_receiver, m.user_id
    FROM job
    CROSS JOIN LATERAL (
        SELECT user_id FROM t_im_channel_user
        WHERE channel_id = $1 AND user_id > job.after_receiver
          AND from_seq <= job.seq AND (to_seq IS NULL OR to_seq >= job.seq)
        ORDER BY channel_id, user_id
        LIMIT $3::integer
    ) AS m
    ORDER BY job.seq, m.user_id
    LIMIT $3::integer
),
cut AS MATERIALIZED (
    -- Where the chunk ends: inside a message when it is full, else after the last one.
    SELECT CASE WHEN count(*) = $3::integer THEN max(seq) END AS seq FROM receiver
),
moment AS MATERIALIZED (SELECT im_clock() AS now),
ledger AS (
    INSERT INTO t_im_message_push (ms_id, receiver, channel_id, last_modified_time)
    SELECT ms_id, user_id, $1, moment.now
    FROM receiver CROSS JOIN moment WHERE user_id <> sender
),
part AS MATERIALIZED (
    -- A message cut by this chunk or an earlier one is queued with its bounds, whole ones together.
    SELECT min(r.ms_id) AS from_ms_id, max(r.ms_id) AS to_ms_id, min(r.seq) AS from_seq, max(r.seq) AS to_seq,
           nullif(r.after_receiver, '') AS after_receiver,
           CASE WHEN r.seq = cut.seq THEN max(r.user_id) END AS to_receiver,
           count(*) FILTER (WHERE r.user_id <> r.sender) AS pairs,
           (SELECT sum(job.bytes) FROM job WHERE job.seq BETWEEN min(r.seq) AND max(r.seq)) AS bytes
    FROM receiver r JOIN job USING (seq) CROSS JOIN cut
    GROUP BY r.after_receiver, CASE WHEN r.seq = cut.seq THEN r.seq END, cut.seq, r.seq = cut.seq,
             job.bytes_before / $4::integer
),
queued AS (
    INSERT INTO t_im_push_queue
        (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, after_receiver, to_receiver,
         pairs, bytes, held, queued_at, due_at)
    SELECT 'gateway', $1, from_seq, to_seq, from_ms_id, to_ms_id, after_receiver, to_receiver,
           pairs, bytes, gateway.is_off, moment.now, moment.now
    FROM part CROSS JOIN moment
    CROSS JOIN (SELECT url IS NULL AS is_off FROM t_im_callback WHERE callback_id = 'gateway') AS gateway
    WHERE pairs > 0
    ORDER BY from_seq
),
finished AS (
    DELETE FROM t_im_fanout f USING job, cut
    WHERE f.channel_id = $1 AND f.seq = job.seq AND (cut.seq IS NULL OR f.seq < cut.seq)
    RETURNING f.ms_id
),
advanced AS (
    UPDATE t_im_fanout f SET after_receiver = part.to_receiver
    FROM part WHERE f.channel_id = $1 AND f.seq = part.from_seq AND part.to_receiver IS NOT NULL
)
SELECT (SELECT count(*) FROM receiver) AS rows,
       coalesce((SELECT array_agg(ms_id) FROM finished), '{}') AS finished
