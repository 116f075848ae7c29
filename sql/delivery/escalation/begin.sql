-- Adds the step of a nudge. Its time is that at which the worker takes over, if the caller who does it now dies.
-- $1 ms_id, $2 channel id, $3 seq, $4 now, $5 due at
INSERT INTO t_im_escalation (ms_id, channel_id, seq, kind, after_s, due_at, set_at)
VALUES ($1, $2, $3, 'urgent', 0, $5, $4)
RETURNING escalation_id
