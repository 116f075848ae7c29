-- How many other users wait to join a group.
-- $1 channel id, $2 user id, $3 most users to count
SELECT count(*) FROM (SELECT FROM t_im_join_request WHERE channel_id = $1 AND user_id <> $2 LIMIT $3::bigint) AS waiting
