-- The work that waits for an endpoint: outside batches and inside them. Also the number of dead letters.
-- $1 callback id
SELECT waiting.rows + stored.rows + held.rows AS rows, waiting.pairs + stored.pairs + held.pairs AS pairs,
       least(waiting.oldest, stored.oldest, held.oldest) AS oldest,
       held.batches, (SELECT count(*) FROM t_im_push_dead WHERE callback_id = $1) AS dead
FROM (SELECT count(*) AS rows, coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest
      FROM t_im_push_queue
      WHERE callback_id = $1) AS waiting
CROSS JOIN (SELECT count(*) AS rows, coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest
            FROM t_im_push_commit
            WHERE $1 = 'gateway') AS stored
CROSS JOIN (SELECT count(*) AS batches, coalesce(sum(cardinality(items)), 0)::bigint AS rows,
                   coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest
            FROM t_im_push_batch
            WHERE callback_id = $1) AS held
