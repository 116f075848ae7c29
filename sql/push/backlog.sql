-- What waits for an endpoint: what is in no batch yet, and what its batches hold.
-- $1 callback id
SELECT waiting.rows + held.rows AS rows, waiting.pairs + held.pairs AS pairs, least(waiting.oldest, held.oldest) AS oldest,
       held.batches, (SELECT count(*) FROM t_im_push_dead WHERE callback_id = $1) AS dead
FROM (SELECT count(*) AS rows, coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest
      FROM t_im_push_queue
      WHERE callback_id = $1 AND batch_id IS NULL) AS waiting
CROSS JOIN (SELECT count(DISTINCT b.batch_id) AS batches, count(q.queue_id) AS rows,
                   coalesce(sum(q.pairs), 0)::bigint AS pairs, min(q.queued_at) AS oldest
            FROM t_im_push_batch b
            LEFT JOIN t_im_push_queue q ON q.batch_id = b.batch_id
            WHERE b.callback_id = $1) AS held
