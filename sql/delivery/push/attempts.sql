-- One page of an endpoint's attempts, newest first.
-- $1 callback id, $2 before this attempt id, $3 limit
-- $4 whether only those since the URL or a filter of the callback changed
SELECT * FROM t_im_push_attempt
WHERE callback_id = $1 AND attempt_id < $2
  AND (NOT $4::boolean OR attempted_at >= coalesce((SELECT aimed_at FROM t_im_callback WHERE callback_id = $1), '-infinity'))
ORDER BY attempt_id DESC
LIMIT $3
