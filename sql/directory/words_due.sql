-- People whose words are due, a step of them; whom another replica has in hand is passed over.
-- $1 most people
SELECT user_id, name, login_name, employee_number, email
FROM t_im_user
WHERE words_due
ORDER BY user_id
LIMIT $1
FOR NO KEY UPDATE SKIP LOCKED
