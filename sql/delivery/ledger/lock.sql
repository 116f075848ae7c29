-- Locks blocks of the ledger in key order, except sealed ones. The caller shares the seal lock.
-- $1 ms_ids, $2 blocks: one element per block
SELECT l.*
FROM (SELECT DISTINCT ms_id, block FROM unnest($1::bigint[], $2::integer[]) AS given (ms_id, block)
      WHERE ms_id >= (SELECT sealed_ms_id FROM t_im_horizon)
      ORDER BY ms_id, block) AS wanted
CROSS JOIN LATERAL (
    SELECT ms_id, channel_id, seq, server_time, changed_at, block, receivers, received, read, offline, rejected, times, reasons
    FROM t_im_ledger
    WHERE ms_id = wanted.ms_id AND block = wanted.block
    FOR UPDATE
) AS l
