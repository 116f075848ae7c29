-- Queues an edit until the source has taken it.
-- $1 user id, $2 source, $3 attributes, $4 base, $5 base version, $6 asked by, $7 now, $8 give up at
INSERT INTO t_im_directory_edit
    (user_id, source, attributes, base, base_version, asked_by, asked_at, due_at, set_at, give_up_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7, $8)
RETURNING edit_id, user_id, attributes, base, theirs, state, detail, attempts, due_at, asked_by, asked_at, ended_at
