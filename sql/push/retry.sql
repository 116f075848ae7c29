-- Receivers answered `retry` are queued again, out of turn: for each row of the batch those of
-- them it held. Rows that have been tried long enough become dead letters.
-- $1 batch id, $2 verdict by receiver, $3 the verdict of whoever is not named, $4 now
-- $5 first wait in ms, $6 longest wait in ms, $7 jitter added, as a share, $8 give up after this many ms
WITH again AS MATERIALIZED (
    SELECT span.queue_id, array_agg(DISTINCT l.receiver) AS receivers, count(*) AS pairs
    FROM v_im_push_span span
    CROSS JOIN LATERAL (
        SELECT receiver FROM t_im_message_push
        WHERE ms_id = span.ms_id AND receiver BETWEEN span.low AND span.high AND (NOT span.held OR status = 0)
        OFFSET 0) AS l
    WHERE span.batch_id = $1 AND coalesce($2::jsonb -> l.receiver ->> 0, $3::text) = 'retry'
    GROUP BY span.queue_id
),
timed AS (
    SELECT again.receivers AS again_receivers, again.pairs AS again_pairs, q.*,
           least($5::float8 * 2 ^ least(q.retries, 30), $6::float8) * (1 + $7::float8) AS wait_ms
    FROM again CROSS JOIN LATERAL (SELECT * FROM t_im_push_queue WHERE queue_id = again.queue_id OFFSET 0) AS q
),
dead AS (
    INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                                receivers, pairs, bytes, reason, dead_at)
    SELECT callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
           again_receivers, again_pairs, bytes, 'answered retry for too long', $4
    FROM timed WHERE waited_ms >= $8::bigint
)
INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                             receivers, pairs, bytes, waited_ms, in_turn, retries, queued_at, set_at, due_at)
SELECT callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
       again_receivers, again_pairs, bytes, waited_ms + wait_ms::bigint, false, retries + 1, queued_at, $4,
       $4 + wait_ms * interval '1 millisecond'
FROM timed WHERE waited_ms < $8::bigint
