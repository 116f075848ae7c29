-- One page of a user's edits, newest first.
-- $1 user id, $2 before this edit id, $3 limit
SELECT edit_id, user_id, attributes, base, theirs, state, detail, attempts, due_at, asked_by, asked_at, ended_at
FROM t_im_directory_edit
WHERE user_id = $1 AND edit_id < $2
ORDER BY edit_id DESC
LIMIT $3
