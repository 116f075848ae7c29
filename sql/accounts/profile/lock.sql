-- Locks the account of a user, whose profile changes: the next statement then sees all of its tags.
-- $1 user id
SELECT user_id FROM t_im_account WHERE user_id = $1 FOR NO KEY UPDATE
