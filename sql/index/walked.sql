-- How far the messages are indexed; null: all. Unless the walk has begun anew meanwhile.
-- $1 next ms_id, or null, $2 where this step began
UPDATE t_im_archive SET walk_ms_id = $1 WHERE walk_ms_id = $2
