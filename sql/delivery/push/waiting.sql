-- The endpoints that have due work. OFFSET 0 keeps each check one index probe. A plan made while the queue was empty
-- would otherwise hash the queue of all endpoints.
-- $1 now
SELECT c.callback_id
FROM t_im_callback c
WHERE c.state = 'active' AND (c.paced_until IS NULL OR c.paced_until <= $1 OR im_stepped_back(c.paced_at, $1))
  AND (EXISTS (SELECT FROM t_im_push_batch b
               WHERE b.callback_id = c.callback_id
                 AND (b.due_at <= $1 AND (b.lease_until IS NULL OR b.lease_until <= $1) OR im_stepped_back(b.set_at, $1)) OFFSET 0)
       OR EXISTS (SELECT FROM t_im_push_queue q
                  WHERE q.callback_id = c.callback_id
                    AND (q.in_turn OR q.due_at <= $1 OR im_stepped_back(q.set_at, $1)) OFFSET 0)
       OR c.callback_id = 'gateway' AND EXISTS (SELECT FROM t_im_push_commit OFFSET 0))
