-- Marks urgent messages of a batch of sends, and notes their steps. The previous statements of the transaction have
-- admitted and stored the messages.
-- $1 positions of urgent sends in the batch
-- $2 positions, $3 kinds, $4 seconds since the message: one element per step
WITH admitted AS MATERIALIZED (
    SELECT nullif(current_setting('im.admitted', true), '')::bigint[] AS ms_ids
),
urgent AS (
    UPDATE t_im_message SET urgent = true
    WHERE ms_id = ANY (ARRAY(SELECT admitted.ms_ids[given.place] FROM admitted, unnest($1::integer[]) AS given (place)))
)
INSERT INTO t_im_escalation (ms_id, channel_id, seq, kind, after_s, due_at, set_at)
SELECT m.ms_id, m.channel_id, m.seq, step.kind, step.after_s, m.server_time + step.after_s * interval '1 second', m.server_time
FROM admitted
CROSS JOIN unnest($2::integer[], $3::text[], $4::integer[]) AS step (place, kind, after_s)
CROSS JOIN LATERAL (
    SELECT ms_id, channel_id, seq, server_time FROM t_im_message WHERE ms_id = admitted.ms_ids[step.place] OFFSET 0
) AS m
ORDER BY m.ms_id, step.after_s
