-- How many relations of a kind a user has: requests that wait, blocks, or what the user has made otherwise.
-- $1 user id, $2 requests, blocks or made, $3 most to count
SELECT count(*)
FROM (SELECT FROM t_im_relation
      WHERE user_id = $1 AND (friend IS NOT NULL OR follows OR blocks)
        AND CASE $2::text WHEN 'requests' THEN friend = 'request_received'
                          WHEN 'blocks' THEN blocks
                          ELSE friend <> 'request_received' OR follows END
      LIMIT $3::bigint) AS counted
