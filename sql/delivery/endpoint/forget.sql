-- Deletes endpoints that were removed before a time and have no queue left, and expired secrets.
-- $1 removed before, $2 now
WITH ended AS (
    DELETE FROM t_im_callback_secret WHERE expires_at <= $2
)
DELETE FROM t_im_callback c
WHERE removed_at < $1
  AND NOT EXISTS (SELECT FROM t_im_push_queue q WHERE q.callback_id = c.callback_id)
  AND NOT EXISTS (SELECT FROM t_im_push_batch b WHERE b.callback_id = c.callback_id)
