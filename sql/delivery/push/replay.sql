-- Moves dead letters back into the queue, out of turn. Those of sealed messages stay until they are pruned. The
-- caller shares the seal lock.
-- $1 callback id, $2 dead letter ids or null, $3 from this id or null, $4 to this id or null
-- $5 dead since or null, $6 dead before or null, $7 the beginning of the reason or null
-- $8 now, $9 most pairs a second, or null
-- $10 whether only those since the URL or a filter of the callback changed
WITH raised AS (
    DELETE FROM t_im_push_dead
    WHERE callback_id = $1 AND ($2::bigint[] IS NULL OR dead_id = ANY ($2::bigint[]))
      AND dead_id BETWEEN coalesce($3::bigint, 0) AND coalesce($4::bigint, 9223372036854775807)
      AND dead_at >= coalesce($5::timestamptz, '-infinity') AND dead_at < coalesce($6::timestamptz, 'infinity')
      AND ($7::text IS NULL OR starts_with(reason, $7))
      AND (NOT $10::boolean OR dead_at >= coalesce((SELECT aimed_at FROM t_im_callback WHERE callback_id = $1), '-infinity'))
      AND (event_ids IS NOT NULL OR from_ms_id >= (SELECT sealed_ms_id FROM t_im_horizon))
    RETURNING *
),
queued AS (
    INSERT INTO t_im_push_queue (callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, from_slot,
                                 to_slot, receivers, event_ids, pairs, bytes, urgent, in_turn, queued_at, set_at, due_at)
    SELECT callback_id, channel_id, from_seq, to_seq, from_ms_id, to_ms_id, from_slot,
           to_slot, receivers, event_ids, pairs, bytes, urgent, false, $8::timestamptz, $8,
           $8::timestamptz + coalesce((sum(pairs) OVER (ORDER BY dead_id) - pairs) * interval '1 second' / $9::integer, '0')
    FROM raised
    ORDER BY dead_id
)
SELECT count(*) AS letters, coalesce(sum(pairs), 0)::bigint AS pairs FROM raised
