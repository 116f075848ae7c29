-- Deletes a batch of edits that ended long ago.
-- $1 before, $2 most
DELETE FROM t_im_directory_edit
WHERE edit_id IN (SELECT edit_id FROM t_im_directory_edit WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)
