-- The POSTs that may have held a dead letter, newest first: those until it was given up. For messages they are those
-- whose batches span it, for events those that failed.
-- $1 callback id, $2 dead letter id, $3 most attempts looked at, $4 limit
-- $5 whether only those since the URL or a filter of the callback changed
SELECT tried.*
FROM t_im_push_dead d
CROSS JOIN LATERAL (
    SELECT * FROM t_im_push_attempt
    WHERE callback_id = d.callback_id
      AND attempt_id < coalesce((SELECT attempt_id FROM t_im_push_attempt WHERE attempted_at > d.dead_at
                                 ORDER BY attempted_at LIMIT 1), 9223372036854775807)
    ORDER BY attempt_id DESC LIMIT $3::bigint
) AS tried
WHERE d.callback_id = $1 AND d.dead_id = $2
  AND CASE WHEN d.from_ms_id IS NULL THEN tried.error IS NOT NULL
           ELSE tried.from_ms_id <= d.from_ms_id AND tried.to_ms_id >= d.to_ms_id END
  AND (NOT $5::boolean OR tried.attempted_at >= coalesce((SELECT aimed_at FROM t_im_callback WHERE callback_id = $1), '-infinity'))
ORDER BY tried.attempt_id DESC
LIMIT $4
