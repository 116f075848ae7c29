-- Whether verdicts are noted, a reminder is due, or was set before the clock stepped back. Three index probes.
-- $1 now
SELECT (SELECT unreached_id FROM t_im_unreached ORDER BY unreached_id LIMIT 1) IS NOT NULL AS noted,
       EXISTS (SELECT FROM t_im_reminder WHERE due_at <= $1 OFFSET 0) AS due,
       EXISTS (SELECT FROM t_im_reminder WHERE due_at IS NOT NULL AND set_at > $1::timestamptz + interval '1 minute' OFFSET 0) AS stepped_back
