-- Receipts that the archive has taken in, unless a later one came meanwhile.
-- $1 ms_ids, $2 receivers, $3 statuses
DELETE FROM t_im_receipt_pending p
USING unnest($1::bigint[], $2::text[], $3::smallint[]) AS done (ms_id, receiver, status)
WHERE p.ms_id = done.ms_id AND p.receiver = done.receiver AND p.status = done.status
