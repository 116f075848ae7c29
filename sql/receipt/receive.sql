-- `received` receipts of hot messages in bulk. A valid one whose ledger row is not written yet, or
-- not written any more because it is sealed, waits. The caller shares the seal lock.
-- $1 ms_ids, $2 receivers: one element a receipt, in order; $3 now
-- outcome: advanced, unchanged, waiting, unknown
WITH given AS (
    SELECT ms_id, receiver, array_agg(ord) AS ords
    FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS i (ms_id, receiver, ord)
    GROUP BY ms_id, receiver
    ORDER BY ms_id, receiver
),
found AS MATERIALIZED (
    -- Ledger rows are locked one by one in order of the key, as every writer of several locks them.
    SELECT given.ms_id, given.receiver, given.ords, m.channel_id, m.seq,
           CASE WHEN u.is_receiver IS NULL THEN 'unknown'
                WHEN l.status = 0 THEN 'advanced'
                WHEN l.status > 0 THEN 'unchanged'
                ELSE 'waiting' END AS outcome
    FROM given
    CROSS JOIN t_im_horizon h
    LEFT JOIN LATERAL (
        SELECT channel_id, seq FROM t_im_message
        WHERE ms_id = given.ms_id AND sender <> given.receiver
        OFFSET 0) AS m ON true
    LEFT JOIN LATERAL (
        SELECT true AS is_receiver FROM t_im_channel_user
        WHERE channel_id = m.channel_id AND user_id = given.receiver
          AND from_seq <= m.seq AND (to_seq IS NULL OR to_seq >= m.seq)
        OFFSET 0) AS u ON true
    LEFT JOIN LATERAL (
        SELECT status FROM t_im_message_push
        WHERE u.is_receiver AND ms_id = given.ms_id AND receiver = given.receiver AND given.ms_id >= h.sealed_ms_id
        FOR UPDATE OFFSET 0) AS l ON true
),
advanced AS (
    UPDATE t_im_message_push l
    SET status = 1, verdict = NULL, verdict_reason = NULL, last_modified_time = $3
    FROM found
    -- ANY is no equality that could be joined by: all that is left is to look each row up by its key, also
    -- where the statistics are of a day that had just begun.
    WHERE found.outcome = 'advanced'
      AND l.ms_id = ANY (ARRAY[found.ms_id]) AND l.receiver = ANY (ARRAY[found.receiver]) AND l.status = 0
),
waiting AS (
    INSERT INTO t_im_receipt_pending (ms_id, receiver, received_at)
    SELECT ms_id, receiver, $3 FROM found WHERE outcome = 'waiting'
    ON CONFLICT DO NOTHING
),
counted AS (
    INSERT INTO t_im_event_tally (type, channel_id, seq, ms_id, people, at)
    SELECT 'message.received', channel_id, seq, ms_id, count(*), $3
    FROM found
    WHERE outcome = 'advanced' AND im_event_wanted('message.received')
    GROUP BY channel_id, seq, ms_id
)
SELECT ord, outcome
FROM found CROSS JOIN LATERAL unnest(ords) AS ord
ORDER BY ord
