-- Endpoints with the size of their queues, the gateway first, then the gate.
-- $1 callback id, or null for all, $2 now, $3 only those of this application, or null
SELECT c.*, signing.secret_ids, signing.made, signing.ends,
       waiting.rows + held.rows AS waiting_rows, waiting.pairs + held.pairs AS waiting_pairs,
       least(waiting.oldest, held.oldest) AS oldest_queued_at, held.batches, dead.dead
FROM t_im_callback c
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(secret_id ORDER BY secret_id DESC), '{}') AS secret_ids,
           coalesce(array_agg(created_at ORDER BY secret_id DESC), '{}') AS made,
           coalesce(array_agg(expires_at ORDER BY secret_id DESC), '{}') AS ends
    FROM t_im_callback_secret
    WHERE callback_id = c.callback_id AND (expires_at IS NULL OR expires_at > $2)
) AS signing
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest
    FROM (SELECT pairs, queued_at FROM t_im_push_queue WHERE callback_id = c.callback_id
          UNION ALL SELECT pairs, queued_at FROM t_im_push_commit WHERE c.callback_id = 'gateway') AS of_both
) AS waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS batches, coalesce(sum(cardinality(items)), 0)::bigint AS rows,
           coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest
    FROM t_im_push_batch
    WHERE callback_id = c.callback_id
) AS held
CROSS JOIN LATERAL (SELECT count(*) AS dead FROM t_im_push_dead WHERE callback_id = c.callback_id) AS dead
WHERE ($1::text IS NULL OR c.callback_id = $1) AND ($3::text IS NULL OR c.owner = $3) AND c.url IS NOT NULL AND c.removed_at IS NULL
ORDER BY c.kind = 'observer', c.kind DESC, c.created_at, c.callback_id
