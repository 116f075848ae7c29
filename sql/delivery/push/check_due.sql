-- Which work an active endpoint has. Usually there is none, so this needs no lock and no transaction. OFFSET 0 as in
-- push/waiting.sql.
-- $1 callback id
-- again: whether a batch waits for a retry; queued: whether queue rows are due; stored: whether there are commits
WITH clock AS MATERIALIZED (
    SELECT im_clock() AS now
)
SELECT clock.now,
       EXISTS (SELECT FROM t_im_push_batch b
               WHERE b.callback_id = c.callback_id
                 AND (b.due_at <= clock.now AND (b.lease_until IS NULL OR b.lease_until <= clock.now)
                      OR im_stepped_back(b.set_at, clock.now)) OFFSET 0) AS again,
       EXISTS (SELECT FROM t_im_push_queue q
               WHERE q.callback_id = c.callback_id
                 AND (q.in_turn OR q.due_at <= clock.now OR im_stepped_back(q.set_at, clock.now)) OFFSET 0) AS queued,
       c.callback_id = 'gateway' AND EXISTS (SELECT FROM t_im_push_commit OFFSET 0) AS stored
FROM clock CROSS JOIN t_im_callback c
WHERE c.callback_id = $1 AND c.state = 'active'
