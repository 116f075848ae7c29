-- Forgets what was held for a gateway that has not come: some of the oldest, while there still is none.
-- $1 queued before, $2 most rows
DELETE FROM t_im_push_queue
WHERE queue_id = ANY (ARRAY(
    SELECT queue_id
    FROM (SELECT queue_id, held, queued_at FROM t_im_push_queue
          WHERE callback_id = 'gateway' AND batch_id IS NULL
          ORDER BY queue_id LIMIT $2::integer) AS oldest
    WHERE held AND queued_at < $1
      AND EXISTS (SELECT FROM t_im_callback WHERE callback_id = 'gateway' AND url IS NULL)))
