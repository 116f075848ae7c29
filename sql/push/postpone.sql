-- A batch failed whole: it stays as it is and waits.
-- $1 batch id, $2 epoch, $3 due at
UPDATE t_im_push_batch
SET attempts = attempts + 1, lease_until = NULL, due_at = $3
WHERE batch_id = $1 AND epoch = $2
