-- Freezes and leases a new batch from the oldest queue rows. Leaves out in-turn rows of channels that have one in
-- another batch. For other in-turn rows due_at is ignored: it is the time of the message, which may be in the future
-- after the clock has stepped back. An urgent row waits for the first pushes of its channel up to its message, so that they
-- stay in order. Later messages do not delay it, also not after the clock has stepped back.
-- An earlier statement has locked the endpoint.
-- $1 callback id, $2 batch id, $3 now, $4 leased until, $5 most rows, $6 most pairs, $7 most bytes
-- more: whether the batch is full, so that there may be work for another one
WITH busy AS MATERIALIZED (
    SELECT (item).channel_id
    FROM (SELECT unnest(items) AS item FROM t_im_push_batch WHERE callback_id = $1) AS under_way
    WHERE (item).in_turn
),
candidate AS MATERIALIZED (
    SELECT q.queue_id, q.pairs, q.bytes
    FROM t_im_push_queue q
    WHERE q.callback_id = $1
      AND (q.in_turn OR q.due_at <= $3 OR im_stepped_back(q.set_at, $3))
      AND NOT (q.in_turn AND q.channel_id IN (SELECT channel_id FROM busy))
      AND (NOT q.urgent
           OR q.channel_id NOT IN (SELECT channel_id FROM busy)
              AND NOT EXISTS (SELECT FROM t_im_push_queue first
                              WHERE first.callback_id = $1 AND first.channel_id = q.channel_id AND first.in_turn
                                AND first.from_ms_id <= q.from_ms_id OFFSET 0)
              AND NOT EXISTS (SELECT FROM t_im_push_commit WHERE commit_id <= q.after_commit OFFSET 0))
    ORDER BY q.queue_id
    LIMIT $5::integer
),
picked AS MATERIALIZED (
    -- The first row always fits, whatever its size. Further rows fit until a bound is reached.
    SELECT queue_id
    FROM (SELECT queue_id, row_number() OVER in_order AS place,
                 sum(pairs) OVER in_order AS pairs, sum(bytes) OVER in_order AS bytes
          FROM candidate WINDOW in_order AS (ORDER BY queue_id)) AS summed
    WHERE place = 1 OR pairs <= $6::integer AND bytes <= $7::integer
),
taken AS (
    -- Not a join: a plan made while the queue is empty would read the whole queue for each row.
    DELETE FROM t_im_push_queue q
    WHERE q.callback_id = $1 AND q.queue_id = ANY (ARRAY(SELECT queue_id FROM picked))
    RETURNING q AS item
)
INSERT INTO t_im_push_batch (batch_id, callback_id, created_at, lease_until, due_at, set_at, pairs, from_ms_id, queued_at, items)
SELECT $2, $1, $3, $4, $3, $3, sum((item).pairs), min((item).from_ms_id), min((item).queued_at),
       array_agg(item ORDER BY (item).queue_id)
FROM taken
HAVING count(*) > 0
RETURNING batch_id, epoch, attempts, waited_ms, pairs,
          (SELECT count(*) FROM candidate) > (SELECT count(*) FROM picked)
          OR (SELECT count(*) FROM candidate) = $5::integer AS more
