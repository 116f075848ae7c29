-- The account of a user who is signed in.
-- $1 user id
SELECT a.user_id, a.username, a.password_hash, a.password_changed_at, u.active, true AS is_familiar
FROM t_im_account a
JOIN t_im_user u ON u.user_id = a.user_id
WHERE a.user_id = $1
