-- The receivers in the next block of each step who have not read. A receiver counts while a member of the channel and
-- active; an application does not count, nor does a member who has left and come back: nothing from before counts as
-- unread. Recalled messages and dissolved channels have none, nor has a direct channel whose other member blocks the
-- sender: a block ends the steps that wait. The read cursors are locked, in the order in which reads lock them: reads that
-- come now wait until the step is committed.
-- $1 steps, locked by an earlier statement
WITH step AS MATERIALIZED (
    SELECT e.escalation_id, e.ms_id, e.channel_id, e.seq, e.kind, e.after_s, m.sender, m.server_time, m.bytes, part.block, part.receivers
    FROM unnest($1::bigint[]) AS given (escalation_id)
    CROSS JOIN LATERAL (SELECT * FROM t_im_escalation WHERE escalation_id = given.escalation_id OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT sender, server_time, pg_column_size(content) AS bytes FROM t_im_message WHERE ms_id = e.ms_id OFFSET 0) AS m
    CROSS JOIN LATERAL (SELECT FROM t_im_channel WHERE channel_id = e.channel_id AND dissolved_at IS NULL OFFSET 0) AS c
    CROSS JOIN LATERAL (
        SELECT block, receivers & ~coalesce(read, receivers # receivers) AS receivers
        FROM t_im_ledger WHERE ms_id = e.ms_id AND block > e.done_block ORDER BY block LIMIT 1
    ) AS part
    WHERE NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = e.ms_id OFFSET 0)
      AND NOT EXISTS (SELECT FROM t_im_channel_user
                      WHERE channel_id = e.channel_id AND user_id = m.sender AND to_seq IS NULL AND talk = 'blocked' OFFSET 0)
),
receiver AS MATERIALIZED (
    SELECT step.escalation_id, step.channel_id, step.seq, s.user_id
    FROM step
    CROSS JOIN LATERAL (
        SELECT slot, user_id FROM t_im_channel_slot
        WHERE channel_id = step.channel_id AND slot BETWEEN step.block << 10 AND (step.block << 10) + 1023
        OFFSET 0
    ) AS s
    WHERE im_bit(step.receivers, s.slot & 1023) = 1
    ORDER BY step.channel_id, s.user_id
),
unread AS MATERIALIZED (
    SELECT receiver.escalation_id, receiver.user_id
    FROM receiver
    CROSS JOIN LATERAL (SELECT FROM t_im_user WHERE user_id = receiver.user_id AND active AND kind <> 'application' OFFSET 0) AS u
    CROSS JOIN LATERAL (
        SELECT FROM t_im_channel_user m
        WHERE m.channel_id = receiver.channel_id AND m.user_id = receiver.user_id
          AND m.to_seq IS NULL AND m.from_seq <= receiver.seq AND m.read_seq < receiver.seq
        FOR SHARE OF m
        OFFSET 0
    ) AS cursor
)
SELECT step.escalation_id, step.ms_id, step.channel_id, step.seq, step.kind, step.after_s, step.sender, step.server_time, step.bytes, step.block,
       array_agg(unread.user_id ORDER BY unread.user_id) AS user_ids
FROM unread
JOIN step USING (escalation_id)
GROUP BY step.escalation_id, step.ms_id, step.channel_id, step.seq, step.kind, step.after_s, step.sender, step.server_time, step.bytes, step.block
ORDER BY step.ms_id, step.after_s
