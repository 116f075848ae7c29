-- Postpones a batch that failed as a whole. Its items stay as they are.
-- $1 batch id, $2 epoch, $3 due at, $4 the wait in ms that counts towards giving up, $5 now
UPDATE t_im_push_batch
SET attempts = attempts + 1, lease_until = NULL, due_at = $3, set_at = $5, waited_ms = waited_ms + $4::bigint
WHERE batch_id = $1 AND epoch = $2
