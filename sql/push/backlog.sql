-- What waits for a callback.
-- $1 callback id
SELECT count(*) AS rows, coalesce(sum(pairs), 0)::bigint AS pairs, min(queued_at) AS oldest,
       (SELECT count(*) FROM t_im_push_batch WHERE callback_id = $1) AS batches,
       (SELECT count(*) FROM t_im_push_dead WHERE callback_id = $1) AS dead
FROM t_im_push_queue
WHERE callback_id = $1
