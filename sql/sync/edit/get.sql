-- One directory edit.
-- $1 edit id
SELECT edit_id, user_id, attributes, base, theirs, state, detail, attempts, due_at, asked_by, asked_at, ended_at
FROM t_im_directory_edit
WHERE edit_id = $1
