-- Notes receivers with a first verdict of offline or rejected, if an observer takes message.unreceived. If none does, no
-- block is looked up: the condition is decided once, before.
-- $1 ms_ids, $2 blocks, $3 positions as bits: one element per block; $4 now
INSERT INTO t_im_unreached (ms_id, channel_id, seq, block, places, at)
SELECT l.ms_id, l.channel_id, l.seq, l.block, given.places, $4
FROM unnest($1::bigint[], $2::integer[], $3::bit varying[]) AS given (ms_id, block, places)
CROSS JOIN LATERAL (
    SELECT ms_id, channel_id, seq, block FROM t_im_ledger WHERE ms_id = given.ms_id AND block = given.block OFFSET 0
) AS l
WHERE im_event_wanted('message.unreceived')
ORDER BY l.ms_id, l.block
