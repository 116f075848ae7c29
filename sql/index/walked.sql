-- How far the messages are indexed; null: all.
-- $1 next ms_id, or null
UPDATE t_im_archive SET walk_ms_id = $1
