-- Takes a request to join.
-- $1 channel id, $2 user id
DELETE FROM t_im_join_request WHERE channel_id = $1 AND user_id = $2
