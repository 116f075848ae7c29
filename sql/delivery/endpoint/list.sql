-- Endpoints with the size of their queues, the gateway first, then the gate. Each queue and the dead letters are counted
-- up to a limit: then the rest is estimated by the ids, and the oldest is that of the counted ones.
-- $1 callback id, or null for all, $2 now, $3 only those of this application, or null, $4 most rows counted
SELECT c.*, signing.secret_ids, signing.made, signing.ends,
       (queue.rows * queue.share + stored.rows * stored.share)::bigint + held.rows AS waiting_rows,
       (queue.pairs * queue.share + stored.pairs * stored.share)::bigint + held.pairs AS waiting_pairs,
       least(queue.oldest, stored.oldest, held.oldest) AS oldest_queued_at, held.batches,
       (dead.rows * dead.share)::bigint AS dead,
       queue.rows >= $4::bigint OR stored.rows >= $4 OR dead.rows >= $4 AS estimated
FROM t_im_callback c
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(secret_id ORDER BY secret_id DESC), '{}') AS secret_ids,
           coalesce(array_agg(created_at ORDER BY secret_id DESC), '{}') AS made,
           coalesce(array_agg(expires_at ORDER BY secret_id DESC), '{}') AS ends
    FROM t_im_callback_secret
    WHERE callback_id = c.callback_id AND (expires_at IS NULL OR expires_at > $2)
) AS signing
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest,
           CASE WHEN count(*) < $4 THEN 1
                ELSE ((SELECT max(queue_id) FROM t_im_push_queue WHERE callback_id = c.callback_id) - min(queue_id) + 1)::float8
                     / (max(queue_id) - min(queue_id) + 1) END AS share
    FROM (SELECT queue_id, pairs, queued_at FROM t_im_push_queue
          WHERE callback_id = c.callback_id
          ORDER BY queue_id LIMIT $4) AS first
) AS queue
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest,
           CASE WHEN count(*) < $4 THEN 1
                ELSE ((SELECT max(commit_id) FROM t_im_push_commit) - min(commit_id) + 1)::float8
                     / (max(commit_id) - min(commit_id) + 1) END AS share
    FROM (SELECT commit_id, pairs, queued_at FROM t_im_push_commit
          WHERE c.callback_id = 'gateway'
          ORDER BY commit_id LIMIT $4) AS first
) AS stored
CROSS JOIN LATERAL (
    SELECT count(*) AS batches, coalesce(sum(cardinality(items)), 0)::bigint AS rows,
           coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest
    FROM t_im_push_batch
    WHERE callback_id = c.callback_id
) AS held
CROSS JOIN LATERAL (
    SELECT count(*) AS rows,
           CASE WHEN count(*) < $4 THEN 1
                ELSE ((SELECT max(dead_id) FROM t_im_push_dead WHERE callback_id = c.callback_id) - min(dead_id) + 1)::float8
                     / (max(dead_id) - min(dead_id) + 1) END AS share
    FROM (SELECT dead_id FROM t_im_push_dead
          WHERE callback_id = c.callback_id
          ORDER BY dead_id LIMIT $4) AS first
) AS dead
WHERE ($1::text IS NULL OR c.callback_id = $1) AND ($3::text IS NULL OR c.owner = $3) AND c.url IS NOT NULL AND c.removed_at IS NULL
ORDER BY c.kind = 'observer', c.kind DESC, c.created_at, c.callback_id
