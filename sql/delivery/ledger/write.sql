-- Writes blocks of the ledger that the caller has locked and changed. Counts the new `received` statuses for observers
-- of that event.
-- $1 ms_ids, $2 blocks, $3 received, $4 read, $5 offline, $6 rejected, $7 changed at, $8 times, $9 reasons
-- $10 number of new `received` statuses: one element per block; $11 now
WITH change AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bit varying[], $4::bit varying[], $5::bit varying[],
                         $6::bit varying[], $7::timestamptz[], $8::bytea[], $9::jsonb[], $10::integer[])
         AS c (ms_id, block, received, read, offline, rejected, changed_at, times, reasons, people)
),
written AS (
    UPDATE t_im_ledger l
    SET received = c.received, read = c.read, offline = c.offline, rejected = c.rejected,
        changed_at = c.changed_at, times = c.times, reasons = c.reasons
    FROM change c
    -- ANY forces an index lookup. With an equality the planner could join, and a plan made on a small day would
    -- later scan a large one.
    WHERE l.ms_id = ANY (ARRAY[c.ms_id]) AND l.block = ANY (ARRAY[c.block])
    RETURNING l.ms_id, l.channel_id, l.seq, c.people
)
INSERT INTO t_im_event_tally (type, channel_id, seq, ms_id, people, at)
SELECT 'message.received', channel_id, seq, ms_id, sum(people), $11
FROM written
WHERE people > 0 AND im_event_wanted('message.received')
GROUP BY channel_id, seq, ms_id
ORDER BY ms_id
