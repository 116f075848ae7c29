-- Counts the dead letters that a replay would move. The conditions are those of replay.sql.
-- $1 callback id, $2 dead letter ids or null, $3 from this id or null, $4 to this id or null
-- $5 dead since or null, $6 dead before or null, $7 the beginning of the reason or null
SELECT count(*) AS letters, coalesce(sum(pairs), 0)::bigint AS pairs
FROM t_im_push_dead
WHERE callback_id = $1 AND ($2::bigint[] IS NULL OR dead_id = ANY ($2::bigint[]))
  AND dead_id BETWEEN coalesce($3::bigint, 0) AND coalesce($4::bigint, 9223372036854775807)
  AND dead_at >= coalesce($5::timestamptz, '-infinity') AND dead_at < coalesce($6::timestamptz, 'infinity')
  AND ($7::text IS NULL OR starts_with(reason, $7))
  AND (event_ids IS NOT NULL OR from_ms_id >= (SELECT sealed_ms_id FROM t_im_horizon))
