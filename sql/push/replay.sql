-- Dead letters go back into the queue, out of turn; those of sealed messages stay, until they are
-- pruned. The caller shares the seal lock.
-- $1 callback id, $2 dead letter ids, or null for all, $3 now
WITH raised AS (
    DELETE FROM t_im_push_dead
    WHERE callback_id = $1 AND ($2::bigint[] IS NULL OR dead_id = ANY ($2::bigint[]))
      AND from_ms_id >= (SELECT sealed_ms_id FROM t_im_horizon)
    RETURNING *
)
INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
                             after_receiver, to_receiver, receivers, pairs, bytes, in_turn, queued_at, due_at)
SELECT callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id,
       after_receiver, to_receiver, receivers, pairs, bytes, false, $3, $3
FROM raised
ORDER BY from_ms_id
