-- Receipts of cold messages.
-- $1 above this ms_id, $2 most
SELECT ms_id, receiver, status, received_at FROM t_im_receipt_pending
WHERE ms_id > $1 AND ms_id < (SELECT ms_id FROM t_im_horizon)
ORDER BY ms_id, receiver LIMIT $2::integer
