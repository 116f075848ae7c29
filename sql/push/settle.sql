-- Writes the verdicts of an answer into the ledger. Rows are locked in order of (ms_id, receiver):
-- spans in their order, and the rows of each as the primary key has them.
-- $1 batch id, $2 verdict by receiver ({"u1": ["received"], "u2": ["rejected", "reason"]})
-- $3 the verdict of whoever is not named, $4 now
WITH span AS MATERIALIZED (
    SELECT ms_id, low, high
    FROM v_im_push_span
    WHERE batch_id = $1
    ORDER BY ms_id, low
)
UPDATE t_im_message_push l
SET status = CASE coalesce($2::jsonb -> l.receiver ->> 0, $3::text) WHEN 'received' THEN 1 ELSE 0 END,
    verdict = CASE coalesce($2::jsonb -> l.receiver ->> 0, $3::text) WHEN 'offline' THEN 1 WHEN 'rejected' THEN 2 END,
    verdict_reason = $2::jsonb -> l.receiver ->> 1,
    last_modified_time = $4
FROM span
WHERE l.ms_id = span.ms_id AND l.ms_id >= (SELECT sealed_ms_id FROM t_im_horizon) AND l.receiver BETWEEN span.low AND span.high
  AND l.status = 0 AND coalesce($2::jsonb -> l.receiver ->> 0, $3::text) <> 'retry'
