-- The ways in which users may be reached. Users without a wish are left out.
-- $1 user ids
SELECT p.user_id, p.ways
FROM (SELECT DISTINCT user_id FROM unnest($1::text[]) AS given (user_id)) AS wanted
CROSS JOIN LATERAL (SELECT user_id, ways FROM t_im_preference WHERE user_id = wanted.user_id AND ways <> '{}' OFFSET 0) AS p
