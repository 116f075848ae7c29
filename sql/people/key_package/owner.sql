-- Holds a user who publishes key packages against leaving until the transaction ends. No row: the user has left.
-- $1 user id
SELECT user_id FROM t_im_user WHERE user_id = $1 AND active FOR SHARE
