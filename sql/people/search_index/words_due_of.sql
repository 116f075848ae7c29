-- Which of these users have search words due. Waits for users locked by another replica.
-- $1 user ids
SELECT user_id, name, login_name, employee_number, email
FROM t_im_user
WHERE words_due AND user_id = ANY ($1::text[])
ORDER BY user_id
FOR NO KEY UPDATE
