-- Keeps receipts of sealed or cold messages until the archive has them. The highest status counts.
-- $1 ms_ids, $2 receivers, $3 statuses: one element per receipt; $4 now
INSERT INTO t_im_receipt_pending AS p (ms_id, receiver, status, received_at)
SELECT ms_id, receiver, max(status), $4::timestamptz
FROM unnest($1::bigint[], $2::text[], $3::smallint[]) AS given (ms_id, receiver, status)
GROUP BY ms_id, receiver
ORDER BY ms_id, receiver
ON CONFLICT (ms_id, receiver) DO UPDATE SET status = EXCLUDED.status, received_at = EXCLUDED.received_at
WHERE p.status < EXCLUDED.status
