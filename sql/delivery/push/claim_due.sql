-- Leases a frozen batch that is due, or whose lease has expired. A probe takes the smallest one.
-- $1 callback id, $2 now, $3 leased until, $4 whether it is a probe
UPDATE t_im_push_batch
SET epoch = epoch + 1, lease_until = $3, set_at = $2
WHERE batch_id = (
    SELECT batch_id FROM t_im_push_batch
    WHERE callback_id = $1
      AND (due_at <= $2 AND (lease_until IS NULL OR lease_until <= $2) OR im_stepped_back(set_at, $2))
    ORDER BY CASE WHEN $4 THEN pairs END, due_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING batch_id, epoch, attempts, waited_ms, pairs, true AS more
