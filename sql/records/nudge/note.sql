-- Notes a nudge, unless the message was nudged a short time ago. A time from before the clock stepped back does not
-- count.
-- $1 ms_id, $2 now, $3 the shortest time between two nudges, in ms
-- is_noted; wait_ms: otherwise the time until the next nudge
WITH noted AS (
    INSERT INTO t_im_nudge AS n (ms_id, nudged_at) VALUES ($1, $2)
    ON CONFLICT (ms_id) DO UPDATE SET nudged_at = EXCLUDED.nudged_at
    WHERE n.nudged_at <= $2::timestamptz - $3::bigint * interval '1 millisecond' OR im_stepped_back(n.nudged_at, $2)
    RETURNING ms_id
)
SELECT EXISTS (SELECT FROM noted) AS is_noted,
       coalesce((SELECT extract(epoch FROM nudged_at - $2::timestamptz)::float8 * 1000 + $3::bigint FROM t_im_nudge WHERE ms_id = $1), 0)::bigint
           AS wait_ms
