-- Stores the position of the walk; null: complete. Does nothing if the walk has restarted meanwhile.
-- $1 next ms_id, or null, $2 the position at which this step began
UPDATE t_im_archive SET walk_ms_id = $1 WHERE walk_ms_id = $2
