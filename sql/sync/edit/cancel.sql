-- Cancels an edit that is not being sent.
-- $1 edit id, $2 detail, $3 now
UPDATE t_im_directory_edit
SET state = 'cancelled', detail = $2, ended_at = $3
WHERE edit_id = $1 AND state IN ('waiting', 'conflict', 'refused', 'failed')
