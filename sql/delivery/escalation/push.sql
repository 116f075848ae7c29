-- Queues one more push of messages to named receivers in a block, marked urgent and out of turn. It is held while there
-- is no gateway.
-- $1 [{"channel_id": 1, "seq": 1, "ms_id": 1, "block": 0, "bytes": 1, "receivers": ["u1"]}, …], $2 now
INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, from_slot, to_slot,
                             receivers, pairs, bytes, in_turn, urgent, after_commit, held, queued_at, set_at, due_at)
SELECT 'gateway', given.channel_id, given.seq, given.seq, given.ms_id, given.ms_id, given.block << 10, (given.block << 10) + 1023,
       given.receivers, cardinality(given.receivers), given.bytes, false, true, (SELECT max(commit_id) FROM t_im_push_commit),
       gateway.url IS NULL, $2::timestamptz, $2, $2
FROM jsonb_to_recordset($1::jsonb) AS given (channel_id bigint, seq bigint, ms_id bigint, block integer, bytes integer, receivers text[])
CROSS JOIN (SELECT url FROM t_im_callback WHERE callback_id = 'gateway') AS gateway
ORDER BY given.ms_id
