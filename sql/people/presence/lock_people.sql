-- Locks users in order.
-- $1 user ids
SELECT user_id FROM t_im_user WHERE user_id = ANY ($1::text[]) ORDER BY user_id FOR NO KEY UPDATE
