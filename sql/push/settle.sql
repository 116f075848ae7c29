-- Writes the verdicts of an answer into the ledger, rows locked in order of (ms_id, receiver).
-- $1 batch id, $2 verdict by receiver ({"u1": ["received"], "u2": ["rejected", "reason"]})
-- $3 the verdict of whoever is not named, $4 now
WITH target AS MATERIALIZED (
    SELECT ms_id, receiver, coalesce($2::jsonb -> receiver ->> 0, $3::text) AS verdict,
           $2::jsonb -> receiver ->> 1 AS reason
    FROM v_im_push_pair
    WHERE batch_id = $1
    ORDER BY ms_id, receiver
)
UPDATE t_im_message_push l
SET status = CASE target.verdict WHEN 'received' THEN 1 ELSE 0 END,
    verdict = CASE target.verdict WHEN 'offline' THEN 1 WHEN 'rejected' THEN 2 END,
    verdict_reason = target.reason,
    last_modified_time = $4
FROM target
WHERE l.ms_id = target.ms_id AND l.receiver = target.receiver
  AND l.status = 0 AND target.verdict <> 'retry'
