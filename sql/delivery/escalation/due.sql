-- Whether a step is due, or was set before the clock stepped back. Two index probes.
-- $1 now
SELECT EXISTS (SELECT FROM t_im_escalation WHERE due_at <= $1 OFFSET 0) AS due,
       EXISTS (SELECT FROM t_im_escalation WHERE set_at > $1::timestamptz + interval '1 minute' OFFSET 0) AS stepped_back
