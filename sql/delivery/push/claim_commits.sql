-- Freezes and leases a new batch from the oldest commits. An item moves into the queue, in turn, if its channel is
-- busy: it has an item in another batch or in the queue. Items without room in the batch stay in their commit.
-- An earlier statement has locked the endpoint.
-- $1 callback id, $2 batch id, $3 now, $4 leased until, $5 most items, $6 most pairs, $7 most bytes
-- batch_id: null if every item moved into the queue; looked_at: number of commits read;
-- more: whether there may be work for another batch
WITH candidate AS MATERIALIZED (
    SELECT commit_id, pairs, bytes FROM t_im_push_commit ORDER BY commit_id LIMIT $5::integer
),
picked AS MATERIALIZED (
    -- Up to and including the commit that reaches a bound.
    SELECT commit_id
    FROM (SELECT commit_id, sum(pairs) OVER in_order - pairs AS pairs_before, sum(bytes) OVER in_order - bytes AS bytes_before
          FROM candidate WINDOW in_order AS (ORDER BY commit_id)) AS summed
    WHERE pairs_before < $6::integer AND bytes_before < $7::integer
),
opened AS MATERIALIZED (
    SELECT commit_id, unnest(items) AS item, generate_series(1, cardinality(items)) AS place
    FROM t_im_push_commit
    WHERE commit_id = ANY (ARRAY(SELECT commit_id FROM picked))
),
busy AS MATERIALIZED (
    SELECT (item).channel_id
    FROM (SELECT unnest(items) AS item FROM t_im_push_batch WHERE callback_id = $1) AS under_way
    WHERE (item).in_turn
    UNION ALL
    SELECT channel_id
    FROM (SELECT DISTINCT (item).channel_id FROM opened) AS named
    WHERE EXISTS (SELECT FROM t_im_push_queue q
                  WHERE q.callback_id = $1 AND q.channel_id = named.channel_id AND q.in_turn OFFSET 0)
),
judged AS MATERIALIZED (
    SELECT commit_id, item, place, (item).channel_id IN (SELECT channel_id FROM busy) AS waits FROM opened
),
summed AS MATERIALIZED (
    -- The first item always fits, whatever its size. Further items fit until a bound is reached.
    SELECT commit_id, item, place,
           row_number() OVER in_order = 1
           OR row_number() OVER in_order <= $5::integer
              AND sum((item).pairs) OVER in_order <= $6::integer AND sum((item).bytes) OVER in_order <= $7::integer AS goes
    FROM judged
    WHERE NOT waits
    WINDOW in_order AS (ORDER BY commit_id, place)
),
waiting AS (
    INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, from_slot, to_slot,
                                 pairs, bytes, held, queued_at, due_at)
    SELECT $1, (item).channel_id, (item).from_seq, (item).to_seq, (item).from_ms_id, (item).to_ms_id, (item).from_slot,
           (item).to_slot, (item).pairs, (item).bytes, (item).held, (item).queued_at, (item).due_at
    FROM judged
    WHERE waits
    ORDER BY commit_id, place
),
rest AS MATERIALIZED (
    SELECT commit_id, array_agg(item ORDER BY place) AS items, sum((item).pairs) AS pairs, sum((item).bytes) AS bytes,
           min((item).from_ms_id) AS from_ms_id
    FROM summed
    WHERE NOT goes
    GROUP BY commit_id
),
kept AS (
    UPDATE t_im_push_commit c
    SET items = rest.items, pairs = rest.pairs, bytes = rest.bytes, from_ms_id = rest.from_ms_id
    FROM rest
    WHERE c.commit_id = ANY (ARRAY[rest.commit_id])
),
gone AS (
    DELETE FROM t_im_push_commit
    WHERE commit_id = ANY (ARRAY(SELECT commit_id FROM picked EXCEPT SELECT commit_id FROM rest))
),
batch AS (
    INSERT INTO t_im_push_batch (batch_id, callback_id, created_at, lease_until, due_at, set_at, pairs, from_ms_id, queued_at, items)
    SELECT $2, $1, $3, $4, $3, $3, sum((item).pairs), min((item).from_ms_id), min((item).queued_at),
           array_agg(item ORDER BY commit_id, place)
    FROM summed
    WHERE goes
    HAVING count(*) > 0
    RETURNING batch_id, epoch, attempts, waited_ms, pairs
)
SELECT batch.*, (SELECT count(*) FROM picked) AS looked_at,
       EXISTS (SELECT FROM rest) OR (SELECT count(*) FROM candidate) > (SELECT count(*) FROM picked)
       OR (SELECT count(*) FROM candidate) = $5::integer AS more
FROM (VALUES (1)) AS always (one) LEFT JOIN batch ON true
