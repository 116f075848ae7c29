-- Records since when every POST to an endpoint has failed. Disables an observer that has failed for too long or
-- answered 410. Its queue stays, nothing is added to it, and an event `callback.disabled` is written.
-- $1 callback id, $2 now, $3 disable if failing since before, $4 whether the answer was 410, $5 error
WITH endpoint AS (
    SELECT callback_id, coalesce(kind = 'observer' AND state = 'active' AND ($4 OR failing_since <= $3), false) AS ends
    FROM t_im_callback
    WHERE callback_id = $1
    FOR UPDATE
),
failing AS (
    UPDATE t_im_callback c
    -- The earlier time, because the clock may have stepped back. least() ignores null.
    SET failing_since = least(c.failing_since, $2),
        state = CASE WHEN e.ends THEN 'disabled' ELSE c.state END,
        disabled_reason = CASE WHEN e.ends THEN $5 ELSE c.disabled_reason END,
        revision = c.revision + e.ends::integer
    FROM endpoint e
    WHERE c.callback_id = $1 AND (c.failing_since IS NULL OR c.failing_since > $2 OR e.ends)
    RETURNING c.callback_id, c.disabled_reason, c.failing_since, e.ends
),
told AS (
    SELECT im_emit('callback.disabled', NULL, NULL,
                   jsonb_build_object('callback_id', callback_id, 'reason', disabled_reason, 'failing_since', failing_since),
                   NULL, $2)
    FROM failing WHERE ends
)
SELECT count(*) > 0 AS disabled FROM told
