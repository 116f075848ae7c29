-- The receivers in blocks of the ledger.
-- $1 ms_ids, $2 blocks: one element per block
SELECT l.ms_id, l.block, l.receivers
FROM (SELECT DISTINCT ms_id, block FROM unnest($1::bigint[], $2::integer[]) AS given (ms_id, block)) AS wanted
CROSS JOIN LATERAL (
    SELECT ms_id, block, receivers FROM t_im_ledger WHERE ms_id = wanted.ms_id AND block = wanted.block OFFSET 0
) AS l
