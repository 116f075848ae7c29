-- Writes the verdicts of an answer into the ledger, but for what is sealed. Rows are locked in order of
-- (ms_id, receiver): spans in their order, and the rows of each as the primary key has them.
-- $1 batch id, $2 verdict by receiver ({"u1": ["received"], "u2": ["rejected", "reason"]})
-- $3 the verdict of whoever is not named, $4 now
-- Who received a message is counted for whoever wants to be told.
WITH span AS MATERIALIZED (
    SELECT ms_id, low, high
    FROM v_im_push_span
    WHERE batch_id = $1 AND ms_id >= (SELECT sealed_ms_id FROM t_im_horizon)
    ORDER BY ms_id, low
),
settled AS (
    UPDATE t_im_message_push l
    SET status = CASE coalesce($2::jsonb -> l.receiver ->> 0, $3::text) WHEN 'received' THEN 1 ELSE 0 END,
        verdict = CASE coalesce($2::jsonb -> l.receiver ->> 0, $3::text) WHEN 'offline' THEN 1 WHEN 'rejected' THEN 2 END,
        verdict_reason = $2::jsonb -> l.receiver ->> 1,
        last_modified_time = $4
    FROM span
    -- ANY: as in receipt/receive.sql, so that no statistics make this a join of the whole day.
    WHERE l.ms_id = ANY (ARRAY[span.ms_id]) AND l.receiver BETWEEN span.low AND span.high
      AND l.status = 0 AND coalesce($2::jsonb -> l.receiver ->> 0, $3::text) <> 'retry'
    RETURNING l.ms_id, l.channel_id, l.status
)
INSERT INTO t_im_event_tally (type, channel_id, seq, ms_id, people, at)
SELECT 'message.received', received.channel_id, m.seq, received.ms_id, received.people, $4
FROM (SELECT ms_id, channel_id, count(*) AS people FROM settled WHERE status = 1 GROUP BY ms_id, channel_id) AS received
CROSS JOIN LATERAL (SELECT seq FROM t_im_message WHERE ms_id = received.ms_id OFFSET 0) AS m
WHERE im_event_wanted('message.received')
ORDER BY received.ms_id
