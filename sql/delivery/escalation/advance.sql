-- Ends the page of each step: its block is done. A step without further blocks, of a recalled message or in a dissolved
-- channel is deleted.
-- $1 steps, locked by an earlier statement
WITH step AS MATERIALIZED (
    SELECT e.escalation_id, next.blocks[1] AS block,
           cardinality(next.blocks) > 1
           AND NOT EXISTS (SELECT FROM t_im_recall WHERE ms_id = e.ms_id OFFSET 0)
           AND EXISTS (SELECT FROM t_im_channel WHERE channel_id = e.channel_id AND dissolved_at IS NULL OFFSET 0) AS goes_on
    FROM unnest($1::bigint[]) AS given (escalation_id)
    CROSS JOIN LATERAL (SELECT * FROM t_im_escalation WHERE escalation_id = given.escalation_id OFFSET 0) AS e
    CROSS JOIN LATERAL (
        SELECT array_agg(block ORDER BY block) AS blocks
        FROM (SELECT block FROM t_im_ledger WHERE ms_id = e.ms_id AND block > e.done_block ORDER BY block LIMIT 2) AS two
    ) AS next
),
ended AS (
    DELETE FROM t_im_escalation
    WHERE escalation_id = ANY (ARRAY(SELECT escalation_id FROM step WHERE goes_on IS NOT TRUE))
)
UPDATE t_im_escalation e SET done_block = step.block
FROM step
WHERE e.escalation_id = ANY (ARRAY[step.escalation_id]) AND step.goes_on
