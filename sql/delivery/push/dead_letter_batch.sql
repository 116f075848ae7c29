-- Gives a batch up: its items become dead letters, in their order. The caller has locked the batch.
-- $1 batch id, $2 reason, $3 now
WITH batch AS (
    DELETE FROM t_im_push_batch WHERE batch_id = $1 RETURNING items
)
INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                            from_slot, to_slot, receivers, event_ids, pairs, bytes, urgent, reason, dead_at)
SELECT item.callback_id, item.channel_id, item.from_seq, item.to_seq, item.from_ms_id, item.to_ms_id,
       item.from_slot, item.to_slot, item.receivers, item.event_ids, item.pairs, item.bytes, item.urgent, $2, $3
FROM batch CROSS JOIN LATERAL unnest(batch.items) WITH ORDINALITY AS item
ORDER BY item.ordinality
