-- One page of an endpoint's attempts, newest first.
-- $1 callback id, $2 before this attempt id, $3 limit
SELECT * FROM t_im_push_attempt
WHERE callback_id = $1 AND attempt_id < $2
ORDER BY attempt_id DESC
LIMIT $3
