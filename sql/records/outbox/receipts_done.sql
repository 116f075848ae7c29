-- Deletes receipts that the archive has, unless a later one arrived meanwhile.
-- $1 ms_ids, $2 receivers, $3 statuses
DELETE FROM t_im_receipt_pending p
USING unnest($1::bigint[], $2::text[], $3::smallint[]) AS done (ms_id, receiver, status)
-- ANY: as in receipt/receive.sql.
WHERE p.ms_id = ANY (ARRAY[done.ms_id]) AND p.receiver = ANY (ARRAY[done.receiver]) AND p.status = done.status
