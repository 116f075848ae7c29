-- Removes a favourite.
-- $1 user id, $2 ms_id
DELETE FROM t_im_favourite WHERE user_id = $1 AND ms_id = $2
