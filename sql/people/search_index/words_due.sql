-- A batch of users whose search words are due. Users locked by another replica are skipped.
-- $1 most users
SELECT user_id, name, login_name, employee_number, email
FROM t_im_user
WHERE words_due
ORDER BY user_id
LIMIT $1
FOR NO KEY UPDATE SKIP LOCKED
