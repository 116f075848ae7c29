-- The kinds of failure among the newest attempts of an endpoint, newest first, each with its newest answer.
-- $1 callback id, $2 most attempts looked at, $3 limit
SELECT http_status, error, count(*) AS attempts, max(attempted_at) AS last_at,
       (array_agg(answer ORDER BY attempt_id DESC))[1] AS answer
FROM (SELECT attempt_id, attempted_at, http_status, error, answer FROM t_im_push_attempt
      WHERE callback_id = $1
      ORDER BY attempt_id DESC LIMIT $2::bigint) AS newest
WHERE error IS NOT NULL
GROUP BY http_status, error
ORDER BY max(attempt_id) DESC
LIMIT $3
