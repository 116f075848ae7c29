-- Deletes both rows of a pair. An earlier statement locks it.
-- $1 user, $2 the other one
DELETE FROM t_im_relation WHERE user_id = $1 AND other_id = $2 OR user_id = $2 AND other_id = $1
