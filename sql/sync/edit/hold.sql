-- Checks that this replica may still end an attempt, and gives the newest version of the user here.
-- $1 edit id, $2 attempt
SELECT u.version
FROM t_im_directory_edit e
JOIN t_im_user u USING (user_id)
WHERE e.edit_id = $1 AND e.attempts = $2 AND e.state = 'sent'
FOR UPDATE OF e
