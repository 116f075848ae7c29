-- Locks due steps. Takes them in the order of their times, until their next pages may have as many receivers as one
-- transaction should do; the first is always taken. Steps that another transaction has locked are left to it.
-- $1 now, $2 most steps, $3 most receivers, $4 this step alone, whether it is due or not; or null
WITH due AS MATERIALIZED (
    (SELECT escalation_id, channel_id, due_at FROM t_im_escalation
     WHERE $4::bigint IS NULL AND due_at <= $1
     ORDER BY due_at LIMIT $2::integer)
    UNION ALL
    SELECT escalation_id, channel_id, due_at FROM t_im_escalation WHERE escalation_id = $4
),
picked AS MATERIALIZED (
    SELECT escalation_id
    FROM (SELECT due.escalation_id,
                 sum(least(c.member_count, 1024)) OVER in_order - least(c.member_count, 1024) AS receivers_before
          FROM due
          CROSS JOIN LATERAL (SELECT member_count FROM t_im_channel WHERE channel_id = due.channel_id OFFSET 0) AS c
          WINDOW in_order AS (ORDER BY due.due_at, due.escalation_id)) AS summed
    WHERE receivers_before < $3::integer
)
SELECT escalation_id, kind
FROM t_im_escalation
WHERE escalation_id = ANY (ARRAY(SELECT escalation_id FROM picked))
ORDER BY escalation_id
FOR UPDATE SKIP LOCKED
