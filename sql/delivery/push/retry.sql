-- Queues receivers answered `retry` again, out of turn: one row per item of the batch, with its receivers. Items that
-- have been retried for too long become dead letters.
-- $1 [{"item": 1, "receivers": ["u1"], "pairs": 2}, …], $2 now
-- $3 first wait in ms, $4 longest wait in ms, $5 jitter added, as a share, $6 give up after this many ms, $7 batch id
WITH again AS MATERIALIZED (
    SELECT item, receivers, pairs
    FROM jsonb_to_recordset($1::jsonb) AS given (item bigint, receivers text[], pairs integer)
),
timed AS MATERIALIZED (
    SELECT again.receivers AS again_receivers, again.pairs AS again_pairs, q.*,
           least($3::float8 * 2 ^ least(q.retries, 30), $4::float8) * (1 + $5::float8) AS wait_ms
    FROM t_im_push_batch b
    CROSS JOIN LATERAL unnest(b.items) WITH ORDINALITY AS q
    JOIN again ON again.item = q.ordinality
    WHERE b.batch_id = $7
),
dead AS (
    INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                                receivers, pairs, bytes, urgent, reason, dead_at)
    SELECT callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
           again_receivers, again_pairs, bytes, urgent, 'answered retry for too long', $2
    FROM timed WHERE waited_ms >= $6::bigint
)
INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                             receivers, pairs, bytes, urgent, waited_ms, in_turn, retries, queued_at, set_at, due_at)
SELECT callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
       again_receivers, again_pairs, bytes, urgent, waited_ms + wait_ms::bigint, false, retries + 1, queued_at, $2,
       $2 + wait_ms * interval '1 millisecond'
FROM timed WHERE waited_ms < $6::bigint
