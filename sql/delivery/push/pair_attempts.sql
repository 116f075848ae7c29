-- The POSTs to the gateway that may have held a message: those of its batch, or those whose batches span it. Oldest first.
-- $1 ms_id, $2 its batch, or null, $3 and $4 the first stretch of time, $5 and $6 the last one, $7 limit
SELECT a.*
FROM t_im_push_attempt a
WHERE a.callback_id = 'gateway'
  AND (a.attempted_at BETWEEN $3 AND $4 OR a.attempted_at BETWEEN $5 AND $6)
  AND CASE WHEN $2::uuid IS NULL THEN a.from_ms_id <= $1 AND a.to_ms_id >= $1 ELSE a.batch_id = $2 END
ORDER BY a.attempt_id
LIMIT $7
