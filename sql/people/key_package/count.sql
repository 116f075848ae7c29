-- How many key packages each device of a user has left, and whether it has a last resort.
-- $1 user id, $2 now
SELECT device_id, count(*) FILTER (WHERE NOT last_resort) AS remaining, bool_or(last_resort) AS last_resort
FROM t_im_key_package
WHERE user_id = $1 AND NOT taken AND expires_at > $2
GROUP BY device_id
ORDER BY device_id
