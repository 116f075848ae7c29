-- A batch failed for too long: its rows become dead letters, in their order. The batch is locked.
-- $1 batch id, $2 reason, $3 now
WITH gone AS (
    DELETE FROM t_im_push_queue WHERE batch_id = $1 RETURNING *
),
batch AS (
    DELETE FROM t_im_push_batch WHERE batch_id = $1
)
INSERT INTO t_im_push_dead (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                            from_slot, to_slot, receivers, event_ids, pairs, bytes, reason, dead_at)
SELECT callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
       from_slot, to_slot, receivers, event_ids, pairs, bytes, $2, $3
FROM gone
ORDER BY queue_id
