-- Counts the dead letters that a replay would move: the listed ones, or those among the newest. The conditions are those of
-- replay.sql.
-- $1 callback id, $2 dead letter ids or null, $3 from this id or null, $4 to this id or null
-- $5 dead since or null, $6 dead before or null, $7 the beginning of the reason or null, $8 most dead letters to read
-- $9 whether only those since the URL or a filter of the callback changed
WITH looked AS (
    SELECT d.*
    FROM (SELECT DISTINCT unnest($2::bigint[]) AS dead_id) AS given
    CROSS JOIN LATERAL (
        SELECT dead_id, dead_at, reason, event_ids IS NOT NULL AS has_events, from_ms_id, pairs
        FROM t_im_push_dead WHERE dead_id = given.dead_id AND callback_id = $1 OFFSET 0
    ) AS d
    UNION ALL
    (SELECT dead_id, dead_at, reason, event_ids IS NOT NULL, from_ms_id, pairs
     FROM t_im_push_dead
     -- So that no plan reads those of other endpoints.
     WHERE $2 IS NULL AND (callback_id, dead_id) >= ($1, coalesce($3::bigint, 0))
       AND (callback_id, dead_id) <= ($1, coalesce($4::bigint, 9223372036854775807))
     ORDER BY callback_id DESC, dead_id DESC
     LIMIT $8)
)
SELECT count(*) AS letters, coalesce(sum(pairs), 0)::bigint AS pairs
FROM looked
WHERE dead_id BETWEEN coalesce($3::bigint, 0) AND coalesce($4::bigint, 9223372036854775807)
  AND dead_at >= coalesce($5::timestamptz, '-infinity') AND dead_at < coalesce($6::timestamptz, 'infinity')
  AND ($7::text IS NULL OR starts_with(reason, $7))
  AND (has_events OR from_ms_id >= (SELECT sealed_ms_id FROM t_im_horizon))
  AND (NOT $9::boolean OR dead_at >= coalesce((SELECT aimed_at FROM t_im_callback WHERE callback_id = $1), '-infinity'))
