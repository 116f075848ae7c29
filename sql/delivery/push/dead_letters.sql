-- One page of an endpoint's dead letters, newest first.
-- $1 callback id, $2 before this id, $3 limit, $4 the beginning of the reason, or null
-- $5 dead since, or null, $6 dead before, or null, $7 most dead letters to read
-- $8 whether only those since the URL or a filter of the callback changed
-- reached: where a short page has stopped to read, or null if there are no more. There is a row without a dead letter if none
-- is found.
WITH found AS MATERIALIZED (
    SELECT dead_id, channel_id, from_ms_id, to_ms_id, event_ids, pairs, reason, dead_at
    FROM (SELECT * FROM t_im_push_dead
          -- So that no plan reads those of other endpoints.
          WHERE (callback_id, dead_id) < ($1, $2) AND callback_id >= $1
          ORDER BY callback_id DESC, dead_id DESC
          LIMIT $7) AS looked
    WHERE ($4::text IS NULL OR starts_with(reason, $4))
      AND ($5::timestamptz IS NULL OR dead_at >= $5) AND ($6::timestamptz IS NULL OR dead_at < $6)
      AND (NOT $8::boolean OR dead_at >= coalesce((SELECT aimed_at FROM t_im_callback WHERE callback_id = $1), '-infinity'))
    ORDER BY callback_id DESC, dead_id DESC
    LIMIT $3
)
SELECT found.*,
       CASE WHEN (SELECT count(*) FROM found) < $3
            THEN (SELECT dead_id FROM t_im_push_dead
                  WHERE (callback_id, dead_id) < ($1, $2) AND callback_id >= $1
                  ORDER BY callback_id DESC, dead_id DESC
                  OFFSET $7 - 1 LIMIT 1) END AS reached
FROM (VALUES (1)) AS one (row)
LEFT JOIN found ON true
ORDER BY found.dead_id DESC
