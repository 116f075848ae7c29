-- The names of users.
-- $1 user ids
SELECT user_id, name FROM t_im_user WHERE user_id = ANY ($1::text[])
