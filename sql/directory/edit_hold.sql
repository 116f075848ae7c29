-- Whether an attempt is still ours to end, and which change of the person is the newest here.
-- $1 edit id, $2 attempt
SELECT u.version
FROM t_im_directory_edit e
JOIN t_im_user u USING (user_id)
WHERE e.edit_id = $1 AND e.attempts = $2 AND e.state = 'sent'
FOR UPDATE OF e
