-- The attempts of an endpoint in equal stretches of time, the first ones of each up to a limit. A stretch goes from the
-- first attempt of all endpoints in it to that of the next one, so that each is found by its id.
-- $1 callback id, $2 begin of the first stretch, $3 seconds of a stretch, $4 number of stretches, $5 most attempts counted of each
WITH edge AS MATERIALIZED (
    SELECT place, $2::timestamptz + place * $3::float8 * interval '1 second' AS at
    FROM generate_series(0, $4::integer) AS place
),
first AS MATERIALIZED (
    SELECT edge.place, edge.at,
           coalesce((SELECT attempt_id FROM t_im_push_attempt WHERE attempted_at >= edge.at ORDER BY attempted_at LIMIT 1),
                    9223372036854775807) AS attempt_id
    FROM edge
)
SELECT first.at, counted.*, counted.attempts >= $5::bigint AS truncated
FROM first
JOIN first AS next ON next.place = first.place + 1
CROSS JOIN LATERAL (
    SELECT count(*) AS attempts, count(*) FILTER (WHERE error IS NOT NULL) AS failed,
           coalesce(sum(pairs), 0)::bigint AS pairs, coalesce(sum(received), 0)::bigint AS received,
           coalesce(max(duration_ms), 0) AS slowest_ms
    FROM (SELECT error, pairs, received, duration_ms FROM t_im_push_attempt
          WHERE callback_id = $1::text AND attempt_id >= first.attempt_id AND attempt_id < next.attempt_id
          ORDER BY attempt_id LIMIT $5) AS earliest
) AS counted
ORDER BY first.place
