-- When users last had an audible push. A time from before the clock stepped back does not count.
-- $1 user ids, $2 now
SELECT a.user_id, a.alerted_at
FROM unnest($1::text[]) AS given (user_id)
CROSS JOIN LATERAL (SELECT user_id, alerted_at FROM t_im_alerted WHERE user_id = given.user_id OFFSET 0) AS a
WHERE NOT im_stepped_back(a.alerted_at, $2)
