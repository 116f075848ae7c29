-- Sends an edit again that waits or was not taken. With an administrator's approval it overwrites the value
-- last read from the source, and no newer one.
-- $1 edit id, $2 now, $3 give up at
UPDATE t_im_directory_edit
SET base = coalesce(theirs, base), base_version = coalesce(theirs_version, base_version), theirs = NULL,
    theirs_version = NULL, state = 'waiting', detail = NULL, failures = 0, due_at = $2, set_at = $2, give_up_at = $3, ended_at = NULL
WHERE edit_id = $1 AND state IN ('waiting', 'conflict', 'refused', 'failed')
